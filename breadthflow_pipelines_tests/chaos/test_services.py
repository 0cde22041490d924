"""`breadthflow up` is left alone: files arrive, faults strike, and the tables come out as if there had been none.

Nobody starts a run: the sensor of new files does. Only `up` itself is started again when it was killed, as a service
manager does. `make chaos` does these after those of commands.
"""

import datetime as dt
import random
import time
from collections.abc import Iterator
from typing import NamedTuple

import psycopg2
import pytest

from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.orchestration.hosting.family import run_workers
from breadthflow_pipelines_tests.chaos.deployment import PATIENCE, Deployment, deployment
from breadthflow_pipelines_tests.chaos.faults import OF_SERVICES, Attack, Fault, possible
from breadthflow_pipelines_tests.chaos.telling import FAULTS, SEED, say, summary
from breadthflow_pipelines_tests.e2e.serving import Served, processes_of
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, SESSIONS, START

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

BEFORE = dt.date(2023, 2, 28)
STRIKES = max(1, FAULTS // 4)  # each takes minutes, so they are fewer
MONTHS = [[session for session in SESSIONS if (session.year, session.month) == (2023, month)] for month in range(3, 13)]
STEPS = [month[-1] for month in MONTHS][:STRIKES]  # the last session that files have
UNDER_WAY = 60.0  # seconds in which a fault strikes after files arrived: the sensor looks each half minute


class Undisturbed(NamedTuple):
    """A deployment, what its tables hold after each step without a fault, and whether its disk can be filled."""

    place: Deployment
    expected: list[dict[str, str]]
    mounted: bool


@pytest.fixture
def undisturbed() -> Iterator[Undisturbed]:
    with deployment() as (place, mounted):
        place.market.write(BEFORE)
        place.do("backfill", "--from", FIRST, "--to", BEFORE)
        place.keep_as_base()
        expected = []
        for day in STEPS:
            place.market.write(day)
            place.do("backfill", "--from", day.replace(day=1), "--to", day)
            expected.append(place.contents())
        yield Undisturbed(place, expected, mounted)


def served(place: Deployment) -> Served:
    """`up` on the deployment, ready."""
    settings = {name: value for name, value in place.settings.items() if name not in ("home", "start")}
    return Served(place.home, START, **settings).wait_until_ready()


def differing(place: Deployment, expected: dict[str, str]) -> str:
    """What is not yet as it should be; empty where all is."""
    try:
        found = place.contents()
    except (psycopg2.Error, BreadthFlowError) as error:
        return f"the database does not answer: {error}"
    return ", ".join(table for table, digest in found.items() if digest != expected[table])


def struck(place: Deployment, up: Served, day: dt.date, fault: Fault, dice: random.Random) -> Served:
    """Files arrive, and the fault strikes; the `up` that runs afterwards."""
    place.market.write(day)
    if not fault.awaits_run:
        time.sleep(dice.uniform(1, UNDER_WAY))
    with fault.strike(Attack(place, (), up.process, dice)):
        time.sleep(dice.uniform(1, 10))
    if up.process.poll() is not None:
        up = served(place)
    return up


def stopped(place: Deployment, up: Served) -> str:
    """Stop `up`; what is wrong with how it ended, or with what it left behind, empty if nothing is."""
    status = up.stop()
    processes = [" ".join(process.cmdline()) for process in processes_of(place.home)]
    return f"`up` ended with {status} and left {processes}" if status or processes else ""


def test_services_that_are_left_alone_lose_nothing(
    undisturbed: Undisturbed, capsys: pytest.CaptureFixture[str]
) -> None:
    place, expected, mounted = undisturbed
    faults, impossible = possible(OF_SERVICES, mounted=mounted)
    dice, lost = random.Random(SEED), list[str]()  # noqa: S311
    up: Served | None = None
    for number in range(STRIKES):
        step = number % len(STEPS)
        if step == 0:
            place.market.write(BEFORE)
            place.back_to_base()
            up = None
        if up is None:
            up = served(place)
        fault = faults[number % len(faults)] if number < len(faults) else dice.choice(faults)
        up = struck(place, up, STEPS[step], fault, dice)
        deadline = time.monotonic() + PATIENCE
        while wrong := differing(place, expected[step]):
            if time.monotonic() > deadline:
                break
            if up.process.poll() is not None:  # it died of what the fault left behind
                up = served(place)
            time.sleep(5)
        wrong = wrong or place.left_behind(lambda: run_workers(place.others()))
        if not wrong and (step == len(STEPS) - 1 or number == STRIKES - 1):  # nothing more comes to this store
            wrong = stopped(place, up)
        say(capsys, f"{number + 1:4} {STEPS[step]} {fault.name}: {wrong or 'survived'}")
        if wrong:
            lost.append(f"{STEPS[step]}, {fault.name}: {wrong}")
            break
    summary(capsys, number + 1, lost, impossible)
    assert not lost, "\n".join(lost)
