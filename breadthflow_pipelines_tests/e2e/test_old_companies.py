"""Real bars since 1962, as the vendor ships them: a history that no calendar knew rightly, through to its signals."""

import csv
import io
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from breadthflow_pipelines_tests.e2e.conftest import Command

pytestmark = [pytest.mark.market_data, pytest.mark.slow]

LOST = "1970-11-16"  # a session of which the vendor has no bar of anybody
LAST = "1979-12-31"
COMPANIES = ("ge", "ibm", "jnj", "xom")
FEW = 20  # bars that cannot be right, of 13,000


def traded(market: Path, company: str) -> set[str]:
    """The days of the file through LAST."""
    with (market / "stooq" / f"{company}.us.txt").open() as file:
        return {row["Date"] for row in csv.DictReader(file) if row["Date"] <= LAST}


def test_a_history_from_1962_on_goes_through_to_signals(command: Command, market: Path, tmp_path: Path) -> None:
    (tmp_path / "bars").mkdir()
    for company in COMPANIES:
        shutil.copy(market / "stooq" / f"{company}.us.txt", tmp_path / "bars")
    (tmp_path / "changes.csv").write_text(f"date,change,reason\n{LOST},closed,the vendor has no bar of anybody\n")
    settings = {
        "source": "files",
        "source_path": tmp_path / "bars",
        "start": "1962-01",
        "calendar_changes": tmp_path / "changes.csv",
    }

    run = command("backfill", "--from", "1962-01-02", "--to", LAST, **settings)

    assert run.returncode == 0, run.stderr
    answer = command("breadth", "--universe", "all", "--segment", "ALL", "--format", "csv", **settings)
    rows = {row["session"]: row for row in csv.DictReader(io.StringIO(answer.stdout))}
    broken = list(csv.DictReader(io.StringIO(command("rejected", "--format", "csv", **settings).stdout)))
    assert len(broken) <= FEW
    left_out = {(row["symbol"].lower(), row["session"]) for row in broken}
    traded_by = {company: traded(market, company) for company in COMPANIES}
    histories = [{day for day in days if (company, day) not in left_out} for company, days in traded_by.items()]
    days = sorted(set.union(*traded_by.values()))
    priced = {day: sum(day in history for history in histories) for day in days}
    assert {session: int(row["priced"]) for session, row in rows.items()} == priced
    # A move is held against the day before on which anybody traded: no Christmas, funeral or Wednesday of 1968, which
    # other calendars have for sessions, makes a gap. A company that lacks a day of its own has one after it.
    missed = {
        day: sum({before, day} & history == {day} and min(history) < before for history in histories)
        for before, day in pairwise(days)
    }
    assert {session: int(row["gap"]) for session, row in rows.items() if row["gap"] != "0"} == {
        day: companies for day, companies in missed.items() if companies
    }
    assert {"1962-12-26", "1963-11-26", "1968-06-13", "1970-11-17"} < rows.keys()
    assert "breadth_score" in command("score", "--date", LAST, "--universe", "all", **settings).stdout
