"""Every command on an empty store, on one that is held, and on a healthy one: what is true, and what to do next."""

import datetime as dt
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from breadthflow_pipelines import cli
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines_tests.orchestration.conftest import Prepare, Store
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST, SESSIONS

HELD = dt.date(2023, 6, 15)
AFTER = dt.date(2023, 6, 16)
ALL_READ = "could read every file and every symbol.\n3 rows are rejected: breadthflow rejected shows which, and why."
EMPTY = "The store is empty.\nNext: breadthflow run"
BROKEN = (  # three rows of each of 14 symbols
    "42 of 294 rows rejected (14.3 %, allowed 1 %) in 2022-11 (bars_keep_contract).\n"
    "Next: breadthflow rejected --from 2022-11-01 --to 2022-11-30; when the source is mended: breadthflow backfill"
)
HOLE = (
    f"is held from {HELD} on: no bars on {HELD} (bars_complete).\n"
    f"Next: breadthflow backfill --from {HELD} --to {HELD}; if the source has no more: breadthflow accept-hole {HELD}"
)


class Answer(NamedTuple):
    """What a command left behind; said: both streams."""

    status: int
    said: str


Ask = Callable[[str], Answer]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Iterator[Ask]:
    """A command in this process, on the store of the settings."""

    def run(line: str) -> Answer:
        get_settings.cache_clear()
        with pytest.raises(SystemExit) as end:
            cli.main(line.split())
        printed = capsys.readouterr()
        return Answer(int(end.value.code or 0), printed.out + printed.err)

    return run


@pytest.fixture
def blocked(store: Store, frozen: Callable[[dt.date], None]) -> Store:
    """A store of which nothing could be computed: the first month's rows are broken."""
    frozen(LAST)
    for rows in store.small.rows.values():
        rows[:3] = [(day, open_, low, high, close, volume) for day, open_, high, low, close, volume in rows[:3]]
    store.small.write()
    assert store.daily(LAST).exit_status == 1
    return store


@pytest.fixture
def halfway(prepared: Prepare, frozen: Callable[[dt.date], None]) -> Store:
    """A store that lost a session in the middle, whose source has none of it any more."""
    frozen(LAST)

    def lose(filled: Store) -> None:
        for symbol, rows in filled.small.rows.items():
            filled.small.rows[symbol] = [row for row in rows if row[0] != str(HELD)]
        filled.small.write()
        filled.execute(f"DELETE FROM bars WHERE session = '{HELD}'")
        assert filled.run(HELD, HELD).exit_status == 1

    return prepared("a session lost", lose, filled=True)


# By command: what it says of an empty store, of one of which nothing could be computed, of one that is held from the
# middle on, and of a healthy one. A number is the exit status, words are to be found in what it prints.
SAYS: dict[str, tuple[tuple[int, str], ...]] = {
    "breadth --universe small": ((2, EMPTY), (2, BROKEN), (0, HOLE), (0, "Breadth of small")),
    "breadth --universe small --columns trin": ((2, EMPTY), (2, BROKEN), (0, HOLE), (0, "trin")),
    f"breadth --universe small --from {SESSIONS[-1] + dt.timedelta(days=9)}": (
        *((2, EMPTY), (2, BROKEN), (2, HOLE)),
        (2, f"the store holds {FIRST} through {LAST}"),
    ),
    "breadth --universe other": (
        (2, EMPTY),
        *[(2, "Universe other is unknown; there are: small.")] * 3,
    ),
    "symbols --universe small": ((2, EMPTY), (2, BROKEN), (0, HOLE), (0, "Members of small")),
    "calibration --universe small": ((2, EMPTY), (2, BROKEN), (0, HOLE), (0, "Symbol signals of small")),
    "signals": ((2, EMPTY), (2, BROKEN), (0, HOLE), (0, "Signals")),
    "signals --universe small": ((2, EMPTY), (2, BROKEN), (0, HOLE), (0, "Signals")),
    f"score --date {LAST}": ((2, EMPTY), (2, BROKEN), (0, HOLE), (0, f"Breadth score and conviction of {LAST}")),
    "explain 0123456789abcdef": (
        *((2, EMPTY), (2, BROKEN)),
        *[(2, "No signal has the id 0123456789abcdef: copy one from breadthflow signals, or from")] * 2,
    ),
    f"members --universe small --date {LAST}": ((2, EMPTY), *[(0, "AAA")] * 3),
    "members --universe small --without-bars": ((2, EMPTY), *[(0, "VANISHED")] * 3),
    "rejected": ((2, EMPTY), *[(0, "high below low")] * 3),
    "holes": ((0, "Nothing is held."), (0, "bars_keep_contract"), (0, f"accept-hole {HELD}"), (0, "Nothing is held.")),
    "problems": (
        (2, "No run has read anything yet.\nNext: breadthflow run"),
        (0, "51 rows are rejected: breadthflow rejected"),  # of all 16 symbols, and three that are always broken
        (0, ALL_READ),
        (0, "3 rows are rejected: breadthflow rejected"),
    ),
    "status": ((0, EMPTY), (0, BROKEN), (0, f"no bars on {HELD}"), (0, "Universes")),
    "indicators --family mcclellan": ((0, "mcclellan_oscillator"),) * 4,
    "sources": ((0, "files"),) * 4,
    "check --quick --select bars": (
        (1, "there are no bars at all"),
        (1, "42 of 294 rows rejected"),
        (1, f"no bars on {HELD}"),
        (0, "passed"),
    ),
    f"release AAA {LAST} --reason why": ((2, "breadthflow run"), *[(2, "breadthflow rejected")] * 3),
    f"confirm AAA {LAST} --reason why": ((2, "breadthflow run"), *[(0, "is computed again by the next run")] * 3),
    f"accept-hole {LAST} --reason why": ((2, "breadthflow holes"),) * 4,
    "db upgrade": ((0, "as it was"),) * 4,
    "run": (
        (0, "Latest signals of small"),
        (1, BROKEN),
        (1, HOLE),
        (0, "took"),
    ),
    f"backfill --from {AFTER} --to {LAST}": (
        (0, "rows changed"),
        (1, BROKEN),
        (1, f"no bars on {HELD}"),
        (0, "took"),
    ),
}


# A backfill is said as a run is, and takes as long.
EACH = [pytest.param(name, marks=pytest.mark.slow) if name.startswith("backfill") else name for name in SAYS]


@pytest.mark.parametrize("command", EACH)
def test_of_an_empty_store(store: Store, ask: Ask, frozen: Callable[[dt.date], None], command: str) -> None:
    frozen(LAST)
    _holds(ask(command), SAYS[command][0])
    assert store.small.rows


@pytest.mark.parametrize("command", EACH)
def test_of_a_healthy_store(filled: Store, ask: Ask, frozen: Callable[[dt.date], None], command: str) -> None:
    frozen(LAST)
    _holds(ask(command), SAYS[command][3])
    assert filled.small.rows


@pytest.mark.slow
@pytest.mark.usefixtures("blocked")
def test_of_a_store_of_which_nothing_could_be_computed(ask: Ask) -> None:
    _all(ask, 1)


@pytest.mark.slow
@pytest.mark.usefixtures("halfway")
def test_of_a_store_that_is_held_from_the_middle_on(ask: Ask) -> None:
    _all(ask, 2)


def test_accepting_one_hole_of_two_says_which_one_still_holds(halfway: Store, ask: Ask) -> None:
    other = dt.date(2023, 8, 3)
    halfway.execute(f"DELETE FROM bars WHERE session = '{other}'")
    halfway.check("bars_complete")
    answer = ask(f"accept-hole {HELD} --reason lost")
    assert answer.status == 0
    assert f"Something else still holds: symbol_signals is held from {other} on: no bars on {other}" in answer.said
    assert ask("status").said.count(f"--from {other} --to {other}") > 0
    answer = ask(f"accept-hole {other} --reason lost")
    assert f"Everything from {other} on is made by the next run" in answer.said


def test_two_held_sessions_are_accepted_by_the_command_that_is_named(halfway: Store, ask: Ask) -> None:
    other = dt.date(2023, 8, 3)
    halfway.execute(f"DELETE FROM bars WHERE session = '{other}'")
    halfway.check("bars_complete")
    assert f'accept-hole {HELD} --to {other} --reason "..."' in ask("breadth --universe small").said
    assert ask(f"accept-hole {HELD} --to {other} --reason lost").status == 0
    assert ask("holes").said.count("lost") == 2


def _all(ask: Ask, state: int) -> None:
    """Those that change nothing first: they stand first in the table."""
    wrong = {}
    for command, says in SAYS.items():
        answer, (status, words) = ask(command), says[state]
        if answer.status != status or words not in answer.said:
            wrong[command] = answer
    assert not wrong, "\n\n".join(f"{command}: {answer.status}\n{answer.said}" for command, answer in wrong.items())


def _holds(answer: Answer, says: tuple[int, str]) -> None:
    status, words = says
    assert (answer.status, words in answer.said) == (status, True), answer.said
