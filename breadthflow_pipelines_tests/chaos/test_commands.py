"""After any fault the next runs complete without a person, and every table is as if there had been none.

`make chaos` does 200 of them and prints how many; CHAOS_FAULTS and CHAOS_SEED say how many others, and which.
"""

import datetime as dt
import random
import subprocess
import time
from collections.abc import Iterator

import pytest

from breadthflow_pipelines_tests.chaos.deployment import PATIENCE, Deployment, deployment
from breadthflow_pipelines_tests.chaos.faults import OF_COMMANDS, Attack, Fault, possible
from breadthflow_pipelines_tests.chaos.telling import FAULTS, SEED, say, summary
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, SESSIONS, Row

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

BEFORE = dt.date(2023, 11, 30)  # what the store holds when a round begins
STEPS = [session for session in SESSIONS if session > BEFORE][: min(FAULTS, 16)]
CORRECTED = {4: ("AAA", dt.date(2023, 10, 17), 41.0), 11: ("CCC", dt.date(2023, 12, 5), 37.5)}  # by step


def command(step: int) -> tuple[object, ...]:
    """What is run at a step: the daily run, or every fifth time a backfill of half a year."""
    if step % 5 == 3:
        return "backfill", "--from", "2023-06-01", "--to", STEPS[step]
    return "run", "--date", STEPS[step]


def feed(place: Deployment, step: int) -> None:
    """The source has the step's session now, and a correction where there is one."""
    for symbol, session, close in [CORRECTED[step]] if step in CORRECTED else []:
        place.market.restate(symbol, session, close)
    place.market.write(STEPS[step])


@pytest.fixture
def undisturbed() -> Iterator[tuple[Deployment, bool, list[dict[str, str]], float]]:
    """A deployment, whether its disk can be filled, what its tables hold after each step, and a step's seconds."""
    with deployment() as (place, mounted):
        place.market.write(BEFORE)
        place.do("backfill", "--from", FIRST, "--to", BEFORE)
        place.keep_as_base()
        original = {symbol: list(rows) for symbol, rows in place.market.rows.items()}
        expected, began = [], time.monotonic()
        for step in range(len(STEPS)):
            feed(place, step)
            place.do(*command(step))
            expected.append(place.contents())
        seconds = (time.monotonic() - began) / len(STEPS)
        assert len({str(contents) for contents in expected}) == len(STEPS)
        place.market.rows.clear()
        place.market.rows.update(original)
        yield place, mounted, expected, seconds


def struck(place: Deployment, step: int, fault: Fault, seconds: float, dice: random.Random) -> str:
    """Do a step with a fault in it, then again without; what did not go as it should, empty if nothing."""
    process = place.start(*command(step), before=fault.before)
    time.sleep(dice.uniform(0.1, seconds))
    with fault.strike(Attack(place, command(step), process, dice)):
        try:
            process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            return "the command did not end"
    again = place.start(*command(step))
    _, said = again.communicate(timeout=PATIENCE)
    if again.returncode:
        return f"the next run ended with {again.returncode}: {said[-1500:]}"
    return ""


def _begin_again(place: Deployment, rows: dict[str, list[Row]]) -> None:
    """Let the store be what it was at first, and the market hold these rows, as it did then."""
    place.market.rows.update({symbol: list(own) for symbol, own in rows.items()})
    place.back_to_base()


def test_nothing_is_lost_and_nobody_is_needed(
    undisturbed: tuple[Deployment, bool, list[dict[str, str]], float], capsys: pytest.CaptureFixture[str]
) -> None:
    place, mounted, expected, seconds = undisturbed
    faults, impossible = possible(OF_COMMANDS, mounted=mounted)
    dice, lost, order = random.Random(SEED), list[str](), list[Fault]()  # noqa: S311
    original = {symbol: list(rows) for symbol, rows in place.market.rows.items()}
    for number in range(FAULTS):
        step = number % len(STEPS)
        if step == 0:
            _begin_again(place, original)
        if not order:
            order = dice.sample(faults, len(faults))  # each as often as the others
        fault = order.pop()
        feed(place, step)
        wrong = struck(place, step, fault, seconds, dice) or place.left_behind(place.others)
        if not wrong:
            contents = place.contents()
            differing = [table for table, digest in contents.items() if digest != expected[step][table]]
            wrong = f"other rows in {differing}" if differing else ""
        say(capsys, f"{number + 1:4} {STEPS[step]} {fault.name}: {wrong or 'survived'}")
        if wrong:
            lost.append(f"{STEPS[step]}, {fault.name}: {wrong}")
            _begin_again(place, original)
            for earlier in range(step + 1):
                feed(place, earlier)
            place.do("backfill", "--from", FIRST, "--to", STEPS[step])
    summary(capsys, FAULTS, lost, impossible)
    assert not lost, "\n".join(lost)
