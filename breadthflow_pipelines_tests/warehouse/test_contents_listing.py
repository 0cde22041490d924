"""What pages and exports read: one moment of the store, and the faults of a universe's own data, no other's."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.warehouse.bulk import Statement, execute, fetch, fetch_together
from breadthflow_pipelines.warehouse.contents_listing import page_contents, universe_contents, universes
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.conftest import wait_until


def test_queries_asked_together_are_answered_as_of_one_moment(database: Database) -> None:
    count: Statement = ("SELECT count(*) FROM publications", ())
    with ThreadPoolExecutor() as pool:
        answers = pool.submit(fetch_together, database, [count, ("SELECT pg_sleep(1)::text", ()), count])
        sleeping = "SELECT true FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
        wait_until(lambda: fetch(database, sleeping).height)
        execute(database, [("INSERT INTO publications (exchange, place) VALUES ('X', '/x')", ())])
        before, _, after = answers.result()
    assert (before.item(), after.item(), fetch(database, *count).item()) == (0, 0, 1)


def test_faults_are_those_of_the_universe_s_own_data(listed: Database) -> None:
    with listed.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO universe_members (universe, security_id, valid_from, symbol) VALUES ('u', 1, '2024-01-01', 'A');
            INSERT INTO breadth_indicators (universe, segment, session, state, settled, convention)
            VALUES ('u', 'ALL', '2024-01-03', 'final', true, 3);
            INSERT INTO rejected_bars (fingerprint, source, symbol, session, reasons, run_id, gone_at)
            VALUES ('1', 's', 'A', '2024-01-02', '{"high below low","volume negative"}', 'r', NULL),
                   ('2', 's', 'A', '2024-01-04', '{"high below low"}', 'r', NULL),
                   ('3', 's', 'A', '2024-01-05', '{"high below low"}', 'r', now()),
                   ('4', 's', 'B', '2024-01-02', '{"high below low"}', 'r', NULL);
            INSERT INTO quarantined_bars (security_id, session, rule, evidence, fingerprint, status)
            VALUES (1, '2024-01-03', 'spike', '{}', 'f', 'quarantined'),
                   (1, '2024-01-04', 'spike', '{}', 'f', 'lapsed'),
                   (2, '2024-01-03', 'spike', '{}', 'f', 'quarantined');
            INSERT INTO holds (gate, universe, synthetic, session, missing, said, run_id)
            VALUES ('bars_complete', '*', false, '2024-01-05', 1, 'no bar', 'r'),
                   ('bars_complete', '*', true, '2024-01-05', 1, 'no invented bar', 'r'),
                   ('coverage_at_gate', 'v', false, '2024-01-05', 1, 'another universe', 'r');
            """
        )
    assert universes(listed) == ["u"]
    faults = page_contents(listed, "u").faults
    assert [(kind, what, rows, str(first), str(last)) for kind, what, rows, first, last in faults.iter_rows()] == [
        ("held session", "no bar", 1, "2024-01-05", "2024-01-05"),
        ("quarantined bar", "spike", 1, "2024-01-03", "2024-01-03"),
        ("rejected bar", "high below low", 2, "2024-01-02", "2024-01-04"),  # not the one that the source no longer has
        ("rejected bar", "volume negative", 1, "2024-01-02", "2024-01-02"),
    ]


@pytest.mark.parametrize("contents", [page_contents, universe_contents])
def test_a_universe_of_which_nothing_is_stored_is_refused(database: Database, contents: object) -> None:
    with pytest.raises(RequestError, match="The store is empty"):
        contents(database, "u")  # type: ignore[operator]
