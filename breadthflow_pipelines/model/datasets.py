"""What is made: one entry for each asset, and with it the table of its name; and what jobs and checks are called.

Imports nothing of ours. What Dagster is told beyond this stands with the assets; columns are in warehouse/tables.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

DAILY_JOB = "bring_up_to_date"
PUBLISHED_JOB = "import_published_counts"
CHECKS_JOB = "run_checks"
WEEKLY_JOB = "rerun_events"
BACKUP_JOB, DRILL_JOB, UPKEEP_JOB = "back_up", "restore_drill", "look_after_databases"
DIGEST_JOB, REVIEW_JOB = "send_digest", "send_review"
LATE_CHECK = "last_session_in"  # of each of WATCHED; judged by the clock

CALENDAR = "calendar"  # no asset, and other datasets follow it: a change in it changes which session was the one before


BREADTH_REVISIONS, SIGNAL_REVISIONS = "breadth_revisions", "signal_revisions"  # where changed and removed rows are kept


@dataclass(frozen=True)
class History:
    """How rows that were changed or removed are kept, and found again as of a moment (warehouse/history.py).

    stamp: the column with the moment since when a row says what it says. universe, segment: the columns of the two; a
    table without segments is of whole universes. kept_in: BREADTH_REVISIONS, by segment and session; SIGNAL_REVISIONS,
    by the signal's id.
    """

    stamp: str
    universe: str = "universe"
    segment: str | None = "segment"
    kept_in: str = BREADTH_REVISIONS


@dataclass(frozen=True)
class Dataset:
    """One asset and the table of its name, unless it fills none.

    group: where the UI shows it. monthly: whether it is cut by month; else it is made whole in every run. follows: what
    it is made of, as far as a change there makes sessions of it due again; what is made whole follows everything
    anyway, and needs to name it only where it keeps to what is due. of_bars: whether the market's bars lead to it.
    of_publications: whether counts that exchanges publish do. weekly: made once a week and not in every run, for it
    takes minutes. watched: whether it holds sessions and always has the last one. history: None where only the newest
    rows are kept. table: whether there is one of its name; without it the asset writes files. made_of: the tables whose
    rows, through a month, decide its rows of that month; none where nobody asks whether they are as they were.
    looks_ahead: whether later rows decide as well. beside: tables that it fills besides its own. by_security: whether
    it can be computed for single securities.
    """

    name: str
    group: str
    monthly: bool = False
    follows: tuple[str, ...] = ()
    of_bars: bool = True
    of_publications: bool = False
    weekly: bool = False
    watched: bool = False
    history: History | None = None
    table: bool = True
    made_of: tuple[str, ...] = ()
    looks_ahead: bool = False
    beside: tuple[str, ...] = ()
    by_security: bool = False


_MEMBERS_BARS = ("bars", "quarantined_bars", "universe_members")
_SOUND_BARS = (*_MEMBERS_BARS, CALENDAR)

DATASETS: Mapping[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset("securities", "market"),
        Dataset("universe_members", "market"),
        Dataset("bars", "market", monthly=True, watched=True),
        Dataset(
            "quarantined_bars",
            "market",
            monthly=True,
            follows=("bars", CALENDAR),
            made_of=("bars",),
            looks_ahead=True,
        ),
        Dataset(
            "breadth_counts",
            "breadth",
            monthly=True,
            follows=(*_SOUND_BARS, "securities"),  # by sector
            watched=True,
            history=History("computed_at"),
        ),
        Dataset(
            "exchange_breadth",
            "breadth",
            of_bars=False,
            of_publications=True,
            history=History("ingested_at", "exchange", segment=None),
        ),
        Dataset("breadth_indicators", "breadth", of_publications=True, watched=True, history=History("computed_at")),
        Dataset(
            "market_signals",
            "signals",
            of_publications=True,
            watched=True,
            history=History("computed_at", kept_in=SIGNAL_REVISIONS),
        ),
        Dataset("universe_returns", "evaluation", monthly=True, follows=(*_SOUND_BARS, "securities")),
        Dataset("signal_outcomes", "evaluation", of_publications=True),
        Dataset("signal_stability", "evaluation", weekly=True),
        Dataset("signal_accuracy", "evaluation", of_publications=True),
        Dataset(
            "signal_records",
            "evaluation",
            of_publications=True,
            history=History("computed_at", segment=None, kept_in=SIGNAL_REVISIONS),
        ),
        Dataset("backtests", "evaluation", of_publications=True),
        Dataset(
            "price_indicators",
            "symbols",
            monthly=True,
            follows=_SOUND_BARS,
            watched=True,
            made_of=_MEMBERS_BARS,
            beside=("recursion_states", "universe_medians"),
            by_security=True,
        ),
        Dataset(
            "symbol_signals",
            "symbols",
            monthly=True,
            follows=_SOUND_BARS,
            watched=True,
            made_of=(*_MEMBERS_BARS, "market_signals", "price_indicators"),
            by_security=True,
        ),
        Dataset(
            "symbol_calibration",
            "evaluation",
            follows=(*_SOUND_BARS, "symbol_signals"),
            made_of=(*_MEMBERS_BARS, "symbol_signals"),
        ),
        Dataset("symbol_records", "evaluation"),
        Dataset("market_report", "signals", of_publications=True, table=False),
    )
}

DAILY_ASSETS = tuple(name for name, dataset in DATASETS.items() if not dataset.weekly)
MARKET_ASSETS = tuple(name for name, dataset in DATASETS.items() if dataset.of_bars and not dataset.weekly)
WEEKLY_ASSETS = (*(name for name, dataset in DATASETS.items() if dataset.weekly), "signal_accuracy")  # which shows it
MONTHLY_ASSETS = tuple(name for name, dataset in DATASETS.items() if dataset.monthly)
PUBLISHED_ASSETS = tuple(name for name, dataset in DATASETS.items() if dataset.of_publications)
STORED = tuple(name for name, dataset in DATASETS.items() if dataset.table)
WATCHED = tuple(name for name, dataset in DATASETS.items() if dataset.watched)
WITH_HISTORY: Mapping[str, History] = {
    name: dataset.history for name, dataset in DATASETS.items() if dataset.history is not None
}
# By what changes, the datasets of which sessions are due then.
FOLLOWERS: Mapping[str, tuple[str, ...]] = {
    origin: tuple(name for name, dataset in DATASETS.items() if origin in dataset.follows)
    for origin in (CALENDAR, *DATASETS)
}
