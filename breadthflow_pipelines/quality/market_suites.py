"""What is expected of what the sources give: memberships, bars, and counts that exchanges publish."""

from breadthflow_pipelines.model.vocabulary import MOST_ADJUSTED, MOST_PRICE, MOST_VOLUME
from breadthflow_pipelines.quality.expectations import Suite, between, no_rows, not_empty, ordered, unique, usual
from breadthflow_pipelines.warehouse import inspection

MOST_ADJUSTED_CLOSE = MOST_PRICE * MOST_ADJUSTED  # NaN and infinity are outside of all bounds


def universe_members() -> Suite:
    """The suite of memberships."""
    key = ("universe", "security_id", "valid_from")
    return Suite(
        "universe_members",
        key,
        (
            not_empty("memberships_exist", "There are members to count."),
            unique("memberships_unique", "Nobody joins a universe twice on one day.", key),
            no_rows("memberships_of_known_securities", "Every member is a security.", inspection.MEMBERS_UNKNOWN),
            ordered("memberships_end_after_they_begin", "A membership lasts a day or more.", "valid_to", "valid_from"),
            no_rows(
                "memberships_do_not_overlap",
                "Nobody belongs to a universe twice at a time.",
                inspection.MEMBERS_OVERLAPPING,
            ),
            usual(
                "universe_size_steady",
                "From one session to the next a universe does not gain or lose a quarter of its members.",
                inspection.UNIVERSES_RESIZED,
            ),
        ),
    )


def bars() -> Suite:
    """The suite of bars."""
    key = ("security_id", "session")
    columns = "security_id, session, close, volume, source"
    return Suite(
        "bars",
        key,
        (
            not_empty("bars_exist", "There are bars."),
            unique("bars_unique", "A security has one bar of a session.", key),
            no_rows("bars_of_known_securities", "Every bar is of a security that exists.", inspection.BARS_UNKNOWN),
            no_rows(
                "bars_of_sessions",
                "Every bar is of a closed session of the exchange.",
                inspection.off_calendar("bars", columns),
            ),
            between("bar_lows_positive", "Every low is a finite price above zero.", "low", 0, MOST_PRICE, strict=True),
            between(
                "bar_highs_positive", "Every high is a finite price above zero.", "high", 0, MOST_PRICE, strict=True
            ),
            ordered("bar_highs_not_below_lows", "No high is below its low.", "high", "low", or_equal=True),
            no_rows(
                "bar_opens_and_closes_inside",
                "Open and close lie between low and high, to 0.01 %.",
                inspection.BARS_OUTSIDE,
            ),
            between("bar_volumes_not_negative", "Every volume is one that can be.", "volume", 0, MOST_VOLUME),
            between(
                "adjusted_closes_positive",
                "An adjusted close, where there is one, is a finite price above zero.",
                "close_adjusted",
                0,
                MOST_ADJUSTED_CLOSE,
                strict=True,
            ),
            no_rows(
                "sessions_have_bars",
                "Every session between the first and the last has bars.",
                inspection.SESSIONS_WITHOUT_BARS,
            ),
            usual(
                "bars_per_session_steady",
                "No session has less than three quarters of the year's usual number of bars.",
                inspection.BARS_FEW,
            ),
            usual(
                "zero_volume_steady",
                "The share of bars without volume is not 20 points above the year's usual share.",
                inspection.BARS_WITHOUT_VOLUME,
            ),
            usual(
                "volume_steady",
                "The median volume of a session is within ten times the year's, and not below a tenth of it.",
                inspection.VOLUME_OF_ANOTHER_UNIT,
            ),
        ),
    )


def exchange_breadth() -> Suite:
    """The suite of the counts that exchanges publish."""
    key = ("exchange", "session")
    return Suite(
        "exchange_breadth",
        key,
        (
            no_rows(
                "publications_have_counts",
                "Of every exchange that runs read, there are published counts.",
                inspection.PUBLICATIONS_WITHOUT_COUNTS,
            ),
            unique("published_counts_unique", "An exchange has one row of a session.", key),
            no_rows(
                "published_counts_of_sessions",
                "Every row is of a session of the exchange.",
                inspection.off_calendar("exchange_breadth", "exchange, session, advances, declines"),
            ),
            no_rows(
                "published_counts_not_negative",
                "No published count or volume is negative.",
                inspection.PUBLISHED_NEGATIVE,
            ),
            between(
                "published_index_positive",
                "The index, where there is one, is a finite level above zero.",
                "index_close",
                0,
                MOST_PRICE,
                strict=True,
            ),
            usual(
                "sessions_are_published",
                "Every session between an exchange's first and last has a row.",
                inspection.SESSIONS_NOT_PUBLISHED,
            ),
            usual(
                "published_issues_steady",
                "The number of issues, where not doubted, is within 1.5 times the year's.",
                inspection.ISSUES_UNLIKE,
            ),
        ),
        whole=True,
    )
