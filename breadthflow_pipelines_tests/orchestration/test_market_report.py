"""The pages that a run leaves: one for each universe, what the store says, and untouched where nothing changed."""

import base64
import gzip
import json
import re
from pathlib import Path

import pytest

from breadthflow_pipelines.orchestration import runs
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import LAST, SESSIONS


def page_of(store: Store, universe: str) -> Path:
    return store.market.settings.home / "reports" / f"{universe}.html"  # as the documents say


@pytest.mark.slow
def test_a_run_writes_a_page_of_what_it_stored_and_leaves_an_equal_one_alone(filled: Store) -> None:
    assert filled.daily(LAST).exit_status == 0
    page = page_of(filled, "small")
    text = page.read_text()
    ((score,),) = filled.rows(
        "SELECT value FROM market_signals WHERE rule = 'breadth_score' AND segment = 'ALL' AND session = %s", LAST
    )
    assert f"score {score:.1f} of 100" in text
    assert f"<title>small: market breadth, {LAST}</title>" in text
    for reason, number in filled.rows(
        "SELECT reason, count(*) FROM rejected_bars, unnest(reasons) AS reason GROUP BY 1"
    ):
        assert re.search(rf"rejected bar</th><td>{re.escape(reason)}</td><td>{number}</td>", text), reason
    # The wealth that is drawn follows from trades and levels, and ends where the stored growth of a year leads.
    found = re.search(r'id="data"[^>]*>([^<]+)<', text)
    assert found is not None
    drawn = json.loads(gzip.decompress(base64.b64decode(found[1])))["columns"]
    for column, portfolio in (("wealth", "rule"), ("held", "buy and hold")):
        ((growth,),) = filled.rows(
            "SELECT cagr FROM backtests WHERE rule = 'breadth_score' AND thresholds = 'fixed' AND cost = 10 "
            "AND portfolio = %s",
            portfolio,
        )
        wealth = [value for value in drawn[column][1] if value is not None]
        assert wealth[-1] == pytest.approx((1 + growth) ** (len(wealth) / 252), abs=1e-4)
        assert f"<td>{growth:.1%}</td>" in text
    said = filled.metadata("market_report")
    assert (said["pages"], said["pages_changed"], said["page of small"]) == (1, 1, str(page))
    written = page.stat().st_mtime_ns
    assert filled.daily(LAST).exit_status == 0
    assert filled.metadata("market_report")["pages_changed"] == 0
    assert page.stat().st_mtime_ns == written
    assert [path.name for path in page.parent.iterdir()] == ["small.html"]  # nothing half-written is left


def test_published_counts_have_a_page_with_their_import(store: Store) -> None:
    files = store.small.universe.parent / "published"
    files.mkdir()
    (files / "XX_advn.csv").write_text("".join(f"{day:%Y%m%d}, {1000 + i}\n" for i, day in enumerate(SESSIONS[:60])))
    (files / "XX_decln.csv").write_text("".join(f"{day:%Y%m%d}, 900\n" for day in SESSIONS[:60]))
    assert runs.run_import(store.instance, str(files), "XX").exit_status == 0
    text = page_of(store, "XX").read_text()
    assert "1,059 rose and 900 fell" in text
    assert re.search(r"Not drawn, because nothing of it is known here: .*Participation, .*Sectors", text)
