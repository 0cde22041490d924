"""A universe and a source that spell share classes in two ways: one share, in whichever order they come."""

import pytest

from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import LAST

COVERAGE = (
    "SELECT DISTINCT c.members - c.priced FROM breadth_counts c "
    "WHERE segment = 'ALL' AND session BETWEEN '2023-12-18' AND '2023-12-29'"
)
SYMBOLS = "SELECT symbol FROM security_symbols WHERE symbol ~ '^AAA' ORDER BY 1"


def rename(store: Store, theirs: str, ours: str) -> None:
    """The source calls AAA so, and the universe file so."""
    (store.small.bars / "aaa.csv").unlink()
    store.small.rows[theirs] = store.small.rows.pop("AAA")
    store.small.write()
    members = store.small.universe.read_text()
    store.small.universe.write_text(members.replace("small,AAA,", f"small,{ours},"))


@pytest.mark.slow
def test_a_member_is_priced_however_its_class_is_spelled(store: Store) -> None:
    rename(store, "AAA-B", "AAA.B")
    report = store.run()
    assert (report.trouble, report.exit_status) == (None, 0)
    assert store.rows(COVERAGE) == [(0,)]
    assert store.rows(SYMBOLS) == [("AAA-B",)]
    # The instruments of the universe file know AAA under neither name; the membership keeps the file's spelling.
    assert store.rows("SELECT symbol FROM universe_members WHERE symbol ~ '^AAA'") == [("AAA.B",)]
    assert store.daily(LAST).rows_changed == 0


@pytest.mark.slow
def test_a_store_that_took_them_for_two_is_mended_by_the_next_run(store: Store) -> None:
    """As an earlier version left it: a security without bars for the member, and the bars under a security of none."""
    rename(store, "AAA-B", "AAA_B")  # which nobody takes for the same
    assert store.run().trouble is None
    assert store.rows(COVERAGE) == [(1,)]
    assert store.rows(SYMBOLS) == [("AAA-B",), ("AAA_B",)]
    store.execute("UPDATE security_symbols SET symbol = 'AAA.B' WHERE symbol = 'AAA_B'")
    store.execute("UPDATE securities SET security_key = 'AAA.B' WHERE security_key = 'AAA_B'")
    store.small.universe.write_text(store.small.universe.read_text().replace("AAA_B", "AAA.B"))
    report = store.daily(LAST)
    assert (report.trouble, report.exit_status) == (None, 0)
    assert store.rows(COVERAGE) == [(0,)]
    assert store.rows(SYMBOLS) == [("AAA-B",)]
    first = "SELECT members - priced FROM breadth_counts WHERE segment = 'ALL' ORDER BY session LIMIT 1"
    assert store.rows(first) == [(1,)]  # counted anew from the first day on: it is VANISHED of whom there is nothing


@pytest.mark.slow
def test_a_spelling_that_could_be_two_is_named_with_both(store: Store) -> None:
    rename(store, "AAA-B", "AAA/B")
    store.small.rows["AAA.B"] = store.small.rows["BBB"]
    store.small.write()
    report = store.run()
    told = next(check for check in report.checks if check.name == "members_have_bars")
    assert told.status == "warned"
    assert "2 members of small have no bar: AAA/B (nearest with bars: AAA-B or AAA.B), VANISHED;" in told.detail
