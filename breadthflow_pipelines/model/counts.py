"""What is counted of a universe on each session: one entry for each column of ``breadth_counts``, in its order.

The store's columns and constraints, the contracts, the view over all counts, the files that exchanges publish and the
lineage that the UI shows derive from here. How each is counted is in indicators/counts.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from breadthflow_pipelines.model.vocabulary import AVERAGES, MONTH, YEAR


class Unit(StrEnum):
    """What a count is in."""

    ISSUES = "issues"
    SHARES = "shares"
    DOLLARS = "close * shares"
    PRICE = "price units"
    FRACTION = "share of the members"
    LEVEL = "level of an index"


_WHOLE = frozenset({Unit.ISSUES, Unit.SHARES, Unit.DOLLARS})

DIRECTED = "directed"  # members whose direction is known: advances + declines + unchanged, which is not a column

_OF_BAR = ("bars", "session")
_OF_CLOSE = ("bars", "close")
_OF_HIGH = ("bars", "high")
_OF_LOW = ("bars", "low")
_OF_TRADES = (_OF_CLOSE, ("bars", "volume"))
_OF_ADJUSTED = ("bars", "close_adjusted")


@dataclass(frozen=True)
class Count:
    """One count.

    about: what it counts, as the column's comment says it. able: the count of those that could add to it, DIRECTED or
    another column; where that is 0, this one is null. nullable: whether it can be null at all. made_of: the (asset,
    column) pairs that it is made from. series: the suffix of the file in which exchanges publish it, None: they do not.
    """

    name: str
    about: str
    made_of: tuple[tuple[str, str], ...]
    unit: Unit = Unit.ISSUES
    able: str | None = None
    nullable: bool = False
    series: str | None = None

    @property
    def whole(self) -> bool:
        """Whether it is a whole number."""
        return self.unit in _WHOLE


def _of_able(
    name: str,
    about: str,
    *made_of: tuple[str, str],
    able: str = DIRECTED,
    unit: Unit = Unit.ISSUES,
    series: str | None = None,
) -> Count:
    """A count that is null where nobody could add to it."""
    return Count(name, about, made_of, unit, able, nullable=True, series=series)


def _above_average(bars: int) -> tuple[Count, Count]:
    above = f"members that closed above the mean of their last {bars} closes"
    return (
        _of_able(f"above_{bars}", above, _OF_CLOSE, able=f"able_{bars}"),
        Count(f"able_{bars}", f"priced members with {bars} bars", (_OF_CLOSE,)),
    )


_ADVANCES = "members that closed above the session before; null: unknown"
_HIGHS = "members whose high is above that of their prior {} bars"
_LOWS = "members whose low is below that of their prior {} bars"

COUNTS = (
    Count("members", "members of the universe on that session", (("universe_members", "security_id"),)),
    Count("priced", "members with a bar", (_OF_BAR,)),
    Count("coverage", "priced / members", (_OF_BAR,), Unit.FRACTION),
    _of_able("advances", _ADVANCES, _OF_CLOSE, series="advn"),
    _of_able("declines", "members that closed below it", _OF_CLOSE, series="decln"),
    _of_able("unchanged", "members that closed exactly at it", _OF_CLOSE, series="unchn"),
    Count("no_prior", "priced members with no earlier bar", (_OF_BAR,)),
    Count("gap", "priced members whose last bar is older than the session before", (_OF_BAR,)),
    _of_able("up_volume", "shares traded in advancing members", *_OF_TRADES, unit=Unit.SHARES, series="advv"),
    _of_able("down_volume", "shares traded in declining members", *_OF_TRADES, unit=Unit.SHARES, series="declv"),
    _of_able("unchanged_volume", "shares traded in unchanged members", *_OF_TRADES, unit=Unit.SHARES, series="unchv"),
    _of_able("up_dollars", "close * shares of advancing members", *_OF_TRADES, unit=Unit.DOLLARS),
    _of_able("down_dollars", "close * shares of declining members", *_OF_TRADES, unit=Unit.DOLLARS),
    _of_able("points_gained", "sum of the rises of advancing members, in price units", _OF_CLOSE, unit=Unit.PRICE),
    _of_able("points_lost", "sum of the falls of declining members, in price units", _OF_CLOSE, unit=Unit.PRICE),
    *(count for bars in AVERAGES for count in _above_average(bars)),
    _of_able("new_highs", _HIGHS.format(YEAR), _OF_HIGH, able="able_252", series="newhi"),
    _of_able("new_lows", _LOWS.format(YEAR), _OF_LOW, able="able_252", series="newlo"),
    Count("able_252", f"priced members with {YEAR} earlier bars", (_OF_BAR,)),
    _of_able("new_highs_20", _HIGHS.format(MONTH), _OF_HIGH, able="able_extremes_20"),
    _of_able("new_lows_20", _LOWS.format(MONTH), _OF_LOW, able="able_extremes_20"),
    Count("able_extremes_20", f"priced members with {MONTH} earlier bars", (_OF_BAR,)),
    _of_able(
        "new_highs_total_return",
        "as new_highs, of prices with dividends reinvested",
        *(_OF_HIGH, _OF_CLOSE, _OF_ADJUSTED),
        able="able_252_total_return",
    ),
    _of_able(
        "new_lows_total_return",
        "as new_lows, of prices with dividends reinvested",
        *(_OF_LOW, _OF_CLOSE, _OF_ADJUSTED),
        able="able_252_total_return",
    ),
    Count("able_252_total_return", f"priced members with {YEAR} earlier bars and adjusted closes", (_OF_ADJUSTED,)),
    Count(
        "index_close",
        "level of the universe's index, where one is configured; with ALL only",
        (_OF_CLOSE,),
        Unit.LEVEL,
        nullable=True,
        series="index",
    ),
)

COUNT_COLUMNS = tuple(count.name for count in COUNTS)
DIRECTIONS = ("advances", "declines", "unchanged")

# By the count of those that could, the counts of those that did; without the directions.
BY_ABLE: Mapping[str, tuple[str, ...]] = {
    able: tuple(count.name for count in COUNTS if count.able == able)
    for able in dict.fromkeys(count.able for count in COUNTS if count.able not in (None, DIRECTED))
    if able is not None
}

# What exchanges publish: counts of issues, which follow the list of issues that is counted, and volumes.
ISSUES = tuple(count.name for count in COUNTS if count.series and count.unit == Unit.ISSUES)
VOLUMES = tuple(count.name for count in COUNTS if count.series and count.unit == Unit.SHARES)
PUBLISHED = tuple(count.name for count in COUNTS if count.series and count.whole)
