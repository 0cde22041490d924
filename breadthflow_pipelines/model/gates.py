"""Gates: the checks whose failures hold what is built next, what they hold, and the words for both. Knows no data.

A gate has the name of its check. What fails is stored as holds (warehouse/holds.py); each asset asks for those that
hold it before it builds anything (orchestration/gates.py), whoever started the run.
"""

import calendar
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

MISSING, REJECTED, CROWDED, THIN, INCOMPLETE = (
    "bars_complete",
    "bars_keep_contract",
    "quarantine_bounded",
    "coverage_at_gate",
    "members_have_indicators",
)
GATES: Mapping[str, str] = {  # by gate, the asset that it is a check of
    MISSING: "bars",
    REJECTED: "bars",
    CROWDED: "quarantined_bars",
    THIN: "breadth_counts",
    INCOMPLETE: "price_indicators",
}
OF_BARS = (MISSING, REJECTED, CROWDED)
HELD_BY: Mapping[str, tuple[str, ...]] = {  # by asset, the gates that hold it
    "breadth_counts": OF_BARS,
    "price_indicators": OF_BARS,
    "universe_returns": OF_BARS,
    "breadth_indicators": (*OF_BARS, THIN),
    "market_signals": (*OF_BARS, THIN),
    "symbol_signals": (*OF_BARS, THIN, INCOMPLETE),
    "symbol_calibration": (*OF_BARS, THIN, INCOMPLETE),
}
BY_MONTH = (REJECTED, CROWDED)  # one hold for a month, from its first session that fails
OF_OWN_ROWS = (INCOMPLETE,)  # they find the rows of their own asset wrong, which are computed again
ACCEPTABLE = (MISSING, REJECTED, THIN)  # holes in what the source gives: people may accept them
EVERY = "*"  # in place of a universe: every one that is made of the bars

NAMED = 5  # sessions, or findings, in one sentence

Hold = Mapping[str, Any]  # a row of the view ``holding``: gate, universe, session, said, ...


def listed(items: Sequence[object], most: int = NAMED) -> str:
    """The first items, and how many more there are."""
    more = f" and {len(items) - most:,} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more


def joined(parts: Sequence[str]) -> str:
    """The first sentences, and how many more there are."""
    more = f"; and {len(parts) - NAMED:,} more" if len(parts) > NAMED else ""
    return "; ".join(parts[:NAMED]) + more


def whom(universe: str) -> str:
    """Whom a hold is of, as people read it."""
    return "all" if universe == EVERY else universe


def described(holds: Iterable[Hold]) -> str:
    """Holds of one gate in a few words: what is found, of whom, and on which sessions."""
    rows = sorted(holds, key=lambda hold: (hold["universe"], hold["session"]))
    parts = []
    for (universe, said), group in groupby(rows, key=lambda hold: (hold["universe"], hold["said"])):
        same = list(group)
        days = [hold["session"] for hold in same]
        when = f"in {days[0]:%Y-%m}" if same[0]["gate"] in BY_MONTH else f"on {listed(days)}"
        when += " (breadthflow holes lists them)" if len(days) > NAMED else ""
        parts.append(f"{'' if universe == EVERY else f'{universe}: '}{said} {when}")
    return joined(parts)


def remedy(asset: str, check: str, first: dt.date | None = None, last: dt.date | None = None) -> str:
    """The command that mends what a check of an asset found from first through last, or that shows it."""
    first, last = (first or last), (last or first)
    hole = (first, last)
    if check in BY_MONTH and first and last:  # its hold stands at one session, and what it found is in all of the month
        first = first.replace(day=1)
        last = last.replace(day=calendar.monthrange(last.year, last.month)[1])
    days = "" if first is None else f" --from {first} --to {last}"
    again = f"breadthflow backfill{days}" if days else "breadthflow run"
    if check == CROWDED:
        return (
            f"breadthflow rejected --status proposed{days}, then mend the source, or breadthflow confirm --proposals "
            "or release --proposals, with --reason; then breadthflow run"
        )
    if check == MISSING and not days:
        return "breadthflow sources (does it answer?), then breadthflow run"
    if check in ACCEPTABLE:
        look = f"breadthflow rejected{days}; when the source is mended: " if check == REJECTED else ""
        lower = ", or set a lower BREADTHFLOW_COVERAGE_GATE" if check == THIN else ""
        if_not = "to go on without these rows" if check == REJECTED else "if the source has no more"
        return f"{look}{again}; {if_not}: {accepting(*hole)}{lower}"
    if check == "every_symbol_answered":
        return f"breadthflow problems (what could not be read, and why); when that is mended: {again}"
    if check == "bars_still_given":
        return f"mend the source, then {again}; until then they stay stored and are counted"
    return _REMEDIES.get(check) or _OF_ASSETS.get(asset) or again


def accepting(first: dt.date | None, last: dt.date | None = None) -> str:
    """The command that accepts the holes from first through last."""
    through = f" --to {last}" if last not in (None, first) else ""
    return f'breadthflow accept-hole {first or "SESSION"}{through} --reason "..."'


# What is not mended by running the sessions again.
_REMEDIES = {
    "bars_current": "breadthflow run",
    "last_session_in": "breadthflow run",
    "publications_answered": "mend the place that BREADTHFLOW_EXCHANGE_BREADTH names, or breadthflow import-breadth "
    "DIRECTORY --exchange NAME with another one (with --replace, what it lacks goes); then breadthflow run",
    "members_have_bars": "breadthflow members --without-bars",
    "memberships_still_given": "give what is missing again (its file, or its rows in BREADTHFLOW_UNIVERSE_FILE), then "
    "breadthflow run; what ended gets its last day there; until then it stays as it is",
    "histories_plausible": "breadthflow rejected --status doubted, then mend the source, or breadthflow release SYMBOL "
    "SESSION --reason where all is well",
    "sums_complete": "mend the source if such prices are wrong; the members are counted in either case",
    "published_plausible": "breadthflow status lists them; they are left out",
}
_OF_ASSETS = {
    "universe_members": "mend BREADTHFLOW_UNIVERSE_FILE, then breadthflow run",
    "exchange_breadth": "mend the files, then breadthflow import-breadth DIRECTORY --exchange NAME",
    "breadth_indicators": "breadthflow run",  # made of all of history in every run
    "market_signals": "breadthflow run",
    "signal_outcomes": "breadthflow run",
    "signal_accuracy": "breadthflow run",
    "backtests": "breadthflow run",
    "symbol_calibration": "breadthflow backfill over the months that it names",
}
