"""The same commands on real data: the S&P 500 of 2006 to 2017, and what NASDAQ published from 1978 to 2015."""

import csv
import datetime as dt
import io
import json
import re
import runpy
import shutil
from pathlib import Path

import polars as pl
import pytest

from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.warehouse.database import NAME, Database
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.e2e.conftest import Command

DOCS = Path(__file__).resolve().parents[2] / "docs"
pytestmark = [pytest.mark.market_data, pytest.mark.slow]

# Counted from the file by hand-written pandas, apart from this project's code.
KNOWN = {
    "2015-08-24": {"members": 500, "priced": 457, "advances": 2, "declines": 455, "new_lows": 160, "able_252": 453},
    "2017-11-10": {
        "members": 506,
        "priced": 497,
        "advances": 225,
        "declines": 270,
        "unchanged": 2,
        "up_volume": 1037179496,
        "above_50": 314,
        "new_highs": 19,
    },
}


# The parquet file's days, and the dates of NASDAQ_advn.csv that are sessions of New York's exchanges.
SP500_SESSIONS, NASDAQ_SESSIONS = 2987, 9550


def test_the_sp_500_and_nasdaq_from_files_to_signals(
    command: Command, market: Path, home: Path, tmp_path: Path
) -> None:
    files = {
        "source": "files",
        "source_path": market / "sp500_bars.parquet",
        "universe_file": market / "sp500_membership.csv",
        "start": "2006-01",
        "index_symbols": "sp500=SPY",
    }
    run = command("backfill", "--from", "2006-01-03", "--to", "2017-11-10", **files)
    assert run.returncode == 0, run.stderr
    # Real: on 2011-02-17 the vendor has 288 of the 410 members that it has on the days around.
    (fallen,) = [line for line in run.stderr.splitlines() if "coverage_steady warned: " in line]
    assert fallen.count("coverage fell to") == 1
    assert "% on 2011-02-17 (since " in fallen
    of_that_day = ("--universe", "sp500", "--from", "2011-02-17", "--to", "2011-02-17", "--format", "json")
    held = [row for row in json.loads(command("signals", *of_that_day).stdout) if row["segment"] == "ALL"]
    assert {row["action"] for row in held} == {"hold"}
    assert all(row["evidence"]["held_back"] in ("buy", "sell", "hold") for row in held)

    for session, known in KNOWN.items():
        answer = command("breadth", "--universe", "sp500", "--from", session, "--to", session, "--format", "csv")
        rows = {row["segment"]: row for row in csv.DictReader(io.StringIO(answer.stdout))}
        assert {name: int(rows["ALL"][name]) for name in known} == known
        assert len(rows) == 11  # ALL and the ten sectors of instruments.csv
        assert list(rows["ALL"])[:4] == ["universe", "segment", "session", "state"]

    status = command("status").stdout
    rejected = [line for line in status.splitlines() if "outside the bar" in line or "high below low" in line]
    assert sum(int(line.split()[-3]) for line in rejected) == 35

    no_false_bar_is_counted(home, market)
    every_priced_member_is_told_of(home, "2017-11-10", priced=KNOWN["2017-11-10"]["priced"])
    nothing_is_nan_or_infinite(command, "sp500", SP500_SESSIONS * 11)

    for path in (*(market / "exchange_breadth").iterdir(), market / "index" / "NASDAQ_index.csv"):
        shutil.copy(path, tmp_path)  # the index beside the counts
    published = command("import-breadth", tmp_path, "--exchange", "NASDAQ", **files)
    assert published.returncode == 0, published.stderr
    assert "published_plausible warned: 36 of 9,550 rows doubted: NASDAQ " in published.stderr
    nothing_is_nan_or_infinite(command, "NASDAQ", NASDAQ_SESSIONS)
    thrusts = command("signals", "--universe", "NASDAQ", "--rule", "zweig_breadth_thrust", "--format", "json")
    assert [row["session"] for row in json.loads(thrusts.stdout)] == ["1981-10-07", "1982-08-24", "1984-08-03"]
    row = command("breadth", "--universe", "NASDAQ", "--from", "1978-01-03", "--to", "1978-01-03", "--format", "json")
    first = json.loads(row.stdout)[0]
    assert (first["advances"], first["declines"], first["unchanged"]) == (276, 634, 1619)  # the files' first lines
    assert (first["members"], first["pct_above_50"], first["zweig_ema"]) == (None, None, None)

    the_record_is_the_published_one(command)
    checked = command("check", **files)
    assert checked.returncode == 1  # the history ends in 2017, and that is said
    failed = [line.split()[1:3] for line in checked.stdout.splitlines() if line.startswith("failed")]
    assert failed == [["bars", "bars_current"]]  # of some 90 checks, suites among them


def the_record_is_the_published_one(command: Command) -> None:
    make_record = runpy.run_path(str(DOCS / "make_record.py"))
    found = [
        row
        for universe in make_record["UNIVERSES"]
        for row in json.loads(command("accuracy", "--universe", universe, "--format", "json").stdout)
        if row["era"] in make_record["ERAS"]
    ]
    of_members = json.loads(command("calibration", "--universe", "sp500", "--format", "json").stdout)
    for name, rows, columns in (("record", found, "COLUMNS"), ("symbol_record", of_members, "SYMBOL_COLUMNS")):
        stale = f"docs/{name}.csv is stale: run docs/make_record.py --figures"
        with (DOCS / f"{name}.csv").open(newline="") as lines:
            kept = list(csv.DictReader(lines))
        assert len(rows) == len(kept), stale
        for ours, theirs in zip(make_record["as_kept"](rows, make_record[columns]), kept, strict=True):
            assert ours == theirs, stale


def no_false_bar_is_counted(home: Path, market: Path) -> None:
    """Of a session with false bars, those members are priced that have a bar in the file and not a false one."""
    store = Database(EmbeddedServer(home).url(NAME), None)
    with store.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT symbol, session FROM rejected_bars")
        broken = set(cursor.fetchall())
        found = (
            "SELECT symbol, session FROM quarantined_bars JOIN security_symbols USING (security_id) WHERE status = %s"
        )
        cursor.execute(found, ("quarantined",))
        implausible = set(cursor.fetchall())
        cursor.execute(found, ("doubted",))
        assert cursor.fetchall() == [("SANM", dt.date(2009, 9, 14))]
        false = broken | implausible
        cursor.execute(
            "SELECT session, priced FROM breadth_counts WHERE universe = 'sp500' AND segment = 'ALL' "
            "AND session = ANY(%s) ORDER BY session",
            (sorted({session for _, session in false}),),
        )
        counted = cursor.fetchall()
    assert (len(broken), len(implausible), len(false)) == (35, 26, 61)
    assert {("AVB", dt.date(2010, 9, 16)), ("EIX", dt.date(2009, 9, 1))} <= broken
    assert ("AIG", dt.date(2008, 9, 15)) not in false
    assert not [row for row in false if row[1].strftime("%Y-%m") == "2009-03"]
    members = pl.read_csv(market / "sp500_membership.csv", try_parse_dates=True)
    bars = pl.read_parquet(market / "sp500_bars.parquet", columns=["symbol", "session"])
    bars = bars.filter(pl.col("session").is_in([session for session, _ in counted])).join(members, on="symbol")
    inside = (pl.col("valid_from") <= pl.col("session")) & (pl.col("session") < pl.col("valid_to")).fill_null(
        value=True
    )
    held = set(bars.filter(inside).select("symbol", "session").iter_rows())
    assert counted == [(day, sum(session == day for _, session in held - false)) for day, _ in counted]
    assert held & false  # or nothing would be told by that


def every_priced_member_is_told_of(home: Path, session: str, priced: int) -> None:
    """Each has indicators, and a signal unless its own history is too short for one."""
    store = Database(EmbeddedServer(home).url(NAME), None)
    with store.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(sma_20), count(obv), count(*) FILTER (WHERE s.action IS NULL), "
            "count(*) FILTER (WHERE s.action IS NULL AND b.bars > 63), count(*) FILTER (WHERE b.bars > 63) "
            "FROM price_indicators p LEFT JOIN symbol_signals s USING (universe, session, security_id) "
            "JOIN (SELECT security_id, count(*) AS bars FROM bars WHERE session <= %(day)s GROUP BY 1) b "
            "USING (security_id) WHERE universe = 'sp500' AND session = %(day)s",
            {"day": session},
        )
        members, averages, volumes, silent, silent_without_reason, old_enough = cursor.fetchone() or ()
    assert (members, volumes) == (priced, priced)
    assert silent_without_reason == 0
    assert members - silent >= old_enough > 0.9 * priced
    assert averages >= old_enough


def nothing_is_nan_or_infinite(command: Command, universe: str, rows: int) -> None:
    """In whatever `breadthflow breadth` prints of a universe's whole history."""
    printed = command("breadth", "--universe", universe, "--format", "csv")
    assert printed.returncode == 0, printed.stderr
    lines = printed.stdout.splitlines()
    assert len(lines) == rows + 1
    assert len(set(lines[0].split(",")) & set(CATALOGUE)) == len(CATALOGUE)
    assert [line for line in lines if re.search(r"(?i)(^|,)[-+]?(nan|inf|infinity)(,|$)", line)] == []
