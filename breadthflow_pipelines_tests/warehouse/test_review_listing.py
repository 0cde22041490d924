"""What the monthly review asks of the store, on a few members whose dates are known."""

import datetime as dt

import pytest
from psycopg2.extras import execute_values

from breadthflow_pipelines.model.counts import COUNT_COLUMNS
from breadthflow_pipelines.warehouse import review_listing
from breadthflow_pipelines.warehouse.database import Database

DAY = dt.date(2024, 3, 15)
FILL = """
INSERT INTO securities (security_id, security_key, synthetic) VALUES
    (1, 'AAA', false), (2, 'BBB', false), (3, 'CCC', false), (4, 'OLD', false), (5, 'FUND', false), (6, 'XYZ', true);
INSERT INTO security_symbols (security_id, symbol, valid_from, valid_to) VALUES
    (1, 'AAA', NULL, NULL), (2, 'BBB', NULL, '2024-03-13'), (3, 'BBB', '2024-03-13', NULL),
    (4, 'OLD', NULL, '2020-01-01'), (4, 'NEW', '2020-01-01', NULL), (5, 'FUND', NULL, NULL), (6, 'XYZ', NULL, NULL);
INSERT INTO universe_members (universe, security_id, valid_from, valid_to, symbol) VALUES
    ('big', 1, '2020-01-02', NULL, 'AAA'),          -- has a bar on every session
    ('big', 2, '2020-01-02', '2024-03-13', 'BBB'),  -- left with its symbol
    ('big', 3, '2024-03-13', NULL, 'BBB'),          -- the list goes on with a symbol that was given up: no bars
    ('big', 4, '2021-05-03', '2024-06-03', 'NEW'),  -- leaves, as announced
    ('made', 6, '2019-01-02', NULL, 'XYZ');
CREATE TABLE bars_2024 PARTITION OF bars FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO bars (security_id, session, open, high, low, close, volume, source, run_id)
    SELECT security, day, 1, 1, 1, 1, 1, 'files', 'a run'
      FROM unnest(ARRAY[1, 2, 4, 5, 6]) AS security, generate_series(date '2024-03-11', '2024-03-15', '1 day') AS day
     WHERE NOT (security = 2 AND day >= '2024-03-13') AND NOT (security = 4 AND day > '2024-03-12');
"""


# What is counted of one member that rose; which, is of no matter here.
_ROSE = ("members", "priced", "coverage", "advances", "up_volume")
_NOT = (
    "declines",
    "unchanged",
    "no_prior",
    "gap",
    "down_volume",
    *(name for name in COUNT_COLUMNS if name.startswith("able_")),
)
COUNTS = dict.fromkeys(_ROSE, 1) | dict.fromkeys(_NOT, 0)


@pytest.fixture
def filled(database: Database) -> Database:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(FILL)
        execute_values(
            cursor,
            f"INSERT INTO breadth_counts (universe, segment, session, {', '.join(COUNTS)}, convention) VALUES %s",
            [
                (name, "ALL", dt.date(2024, 3, day), *COUNTS.values(), 3)
                for name in ("big", "made")
                for day in range(11, 16)
            ],
        )
    return database


def test_lists_say_when_they_changed_and_what_they_say_of_the_future(filled: Database) -> None:
    big, made = review_listing.universes(filled, DAY)
    assert (big["universe"], big["members"], big["synthetic"]) == ("big", 3, False)
    assert (big["changed"], big["days"], big["latest"]) == (dt.date(2024, 3, 13), 1, dt.date(2024, 6, 3))
    assert (made["universe"], made["members"], made["synthetic"]) == ("made", 1, True)
    assert (made["changed"], made["days"], made["latest"]) == (dt.date(2019, 1, 2), 0, dt.date(2019, 1, 2))
    (before, _) = review_listing.universes(filled, dt.date(2019, 12, 31))
    assert (before["members"], before["changed"], before["days"]) == (0, None, 4)


@pytest.mark.parametrize(
    ("sessions", "silent"),
    [
        (1, ["NEW", "BBB"]),  # the last bar of NEW is of the second of five sessions
        (3, ["NEW", "BBB"]),
        (4, ["BBB"]),  # of the last four sessions it has one
    ],
)
def test_members_whose_bars_stopped_are_found_by_the_sessions_of_their_universe(
    filled: Database, sessions: int, silent: list[str]
) -> None:
    rows = review_listing.silent_members(filled, sessions)
    assert [row["symbol"] for row in rows] == silent
    gone = rows[-1]
    assert (gone["universe"], gone["last_bar"], gone["given_up"]) == ("big", None, dt.date(2024, 3, 13))
    if len(rows) > 1:
        # The symbol that this company gave up long ago is not the one under which it is a member.
        assert (rows[0]["last_bar"], rows[0]["given_up"]) == (dt.date(2024, 3, 12), None)


def test_bars_of_nobody_are_found_but_for_benchmarks(filled: Database) -> None:
    assert review_listing.outsiders(filled, ["FUND"]) == []
    (fund,) = review_listing.outsiders(filled, [])
    assert dict(fund) == {"symbol": "FUND", "synthetic": False, "last_bar": dt.date(2024, 3, 15)}


def test_a_store_without_anything_has_nothing_to_review(database: Database) -> None:
    assert review_listing.universes(database, DAY) == []
    assert review_listing.silent_members(database, 5) == []
    assert review_listing.outsiders(database, []) == []
