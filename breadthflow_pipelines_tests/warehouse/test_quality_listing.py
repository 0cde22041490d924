"""What was refused of some days: each row once, with all its reasons, rows without a day too, and no others."""

import datetime as dt

import pytest

from breadthflow_pipelines.warehouse import quality_listing
from breadthflow_pipelines.warehouse.database import Database

FIRST, LAST = dt.date(2024, 3, 1), dt.date(2024, 3, 28)
ROWS = """
INSERT INTO securities (security_id, security_key, synthetic) VALUES (1, 'X', true);
INSERT INTO security_symbols VALUES (1, 'X', NULL, NULL);
INSERT INTO rejected_bars (fingerprint, source, symbol, session, reasons, run_id, gone_at) VALUES
    ('a', 'files', 'X', '2024-03-04', '{no_volume,high_below_low}', 'r', NULL),
    ('b', 'files', 'X', '2024-02-04', '{no_volume}', 'r', NULL),
    ('c', 'files', NULL, NULL, '{no_volume}', 'r', NULL),
    ('d', 'files', 'X', '2024-03-05', '{no_volume}', 'r', now());
INSERT INTO rejected_counts (fingerprint, exchange, series, line, session, reason, run_id)
    VALUES ('a', 'NYSE', 'advn', 3, '2024-03-06', 'negative', 'r');
INSERT INTO quarantined_bars (security_id, session, rule, evidence, fingerprint, status, run_id) VALUES
    (1, '2024-03-07', 'spike', '{}', 'f', 'quarantined', 'r'), (1, '2024-03-08', 'spike', '{}', 'f', 'lapsed', 'r');
"""


@pytest.fixture
def faulty(database: Database) -> Database:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(ROWS)
    return database


def test_every_row_is_counted_once_with_its_reasons_and_days(faulty: Database) -> None:
    found = [tuple(row.values()) for row in quality_listing.faults(faulty, FIRST, LAST)]
    march = [dt.date(2024, 3, day) for day in range(1, 9)]
    assert found == [
        ("quarantined bar", None, "spike", True, 1, march[6], march[6]),
        ("rejected bar", "files", "no_volume", None, 1, None, None),
        ("rejected bar", "files", "no_volume; high_below_low", None, 1, march[3], march[3]),
        ("rejected line", "NYSE", "negative", False, 1, march[5], march[5]),
    ]
    assert quality_listing.faults(faulty, dt.date(2023, 1, 1), dt.date(2023, 2, 1)) == [
        {
            "kind": "rejected bar", "source": "files", "what": "no_volume", "synthetic": None, "rows": 1,
            "first": None, "last": None,
        }
    ]  # fmt: skip


def test_the_newest_rows_come_first_and_no_more_than_asked_for(faulty: Database) -> None:
    found = quality_listing.newest(faulty, FIRST, LAST, 10)
    assert [(row["session"].day, row["symbol"], row["kind"], row["what"]) for row in found] == [
        (7, "X", "quarantined bar", "spike"),
        (4, "X", "rejected bar", "no_volume; high_below_low"),
    ]
    assert quality_listing.newest(faulty, FIRST, LAST, 1) == found[:1]
