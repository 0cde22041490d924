"""Cells: which text is which number, day and symbol, and which is none."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.sources import parsing

NEW_YORK, TOKYO = "America/New_York", "Asia/Tokyo"


@pytest.mark.parametrize(
    ("cell", "zone", "day"),
    [
        # yfinance's history(): midnight of the exchange with the offset of winter and of summer
        ("2024-03-01 00:00:00-05:00", NEW_YORK, "2024-03-01"),
        ("2024-04-01 00:00:00-04:00", NEW_YORK, "2024-04-01"),
        # an offset that is written is that of the exchange, whichever it is
        ("2024-01-04 00:00:00+09:00", NEW_YORK, "2024-01-04"),
        ("2024-03-01 16:00:00-05:00", TOKYO, "2024-03-01"),
        # no offset: the wall clock of the exchange
        ("2024-03-01 00:00:00", NEW_YORK, "2024-03-01"),
        ("2024-03-01T15:00", TOKYO, "2024-03-01"),
        # UTC says of any moment when it was, not where: midnight in Tokyo, the close in New York, just before midnight
        ("2024-01-03T15:00:00Z", TOKYO, "2024-01-04"),
        ("2024-01-03 15:00:00+00:00", TOKYO, "2024-01-04"),
        ("2024-01-03T21:00:00.000Z", NEW_YORK, "2024-01-03"),
        ("2024-01-04 04:59:00 UTC", NEW_YORK, "2024-01-03"),
        ("2024-01-04 05:00:00 UTC", NEW_YORK, "2024-01-04"),
        # midnight in UTC is how programs write a day without a time
        ("2024-01-04T00:00:00Z", NEW_YORK, "2024-01-04"),
        ("2024-01-04 00:00:00+00:00", TOKYO, "2024-01-04"),
        # none of these is a moment
        ("2024-01-04 25:00:00", NEW_YORK, None),
        ("2024-02-30 00:00:00", NEW_YORK, None),
        ("0000-01-01 00:00:00", NEW_YORK, None),
        ("2024-01-04 soon", NEW_YORK, None),
        ("01/04/2024 00:00", NEW_YORK, None),
    ],
)
def test_the_day_of_a_moment(cell: str, zone: str, day: str | None) -> None:
    found = pl.DataFrame({"cell": [cell]}).select(parsing.day_of_moment("cell", zone)).item()
    assert found == (dt.date.fromisoformat(day) if day else None)


@pytest.mark.parametrize(
    ("cell", "day"),
    [
        ("2024-01-04", "2024-01-04"),
        (" 20240104 ", "2024-01-04"),
        ("0001-01-01", "0001-01-01"),
        ("9999-12-31", "9999-12-31"),  # people write it for "still"
        ("0000-01-01", None),  # Polars has a year 0 and those before it; nothing that shows a date has
        ("-001-01-01", None),
        ("99999-01-01", None),
        ("2024-02-30", None),
        ("2024111", None),  # neither the first of November nor the eleventh of January
        ("20240230", None),
        ("04.01.2024", None),
        ("", None),
    ],
)
def test_the_day_of_a_cell(cell: str, day: str | None) -> None:
    found = pl.DataFrame({"cell": [cell]}).select(parsing.day("cell", pl.String())).item()
    assert found == (dt.date.fromisoformat(day) if day else None)


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("1.5", 1.5),
        (" -2e3 ", -2000.0),
        ("+7", 7.0),
        ("1,5", None),
        ("1,234,567", None),
        ("2.07M", None),
        ("$48.11", None),
        ("1_000", None),
        ("nan", None),
        ("inf", None),  # no price is; so it must be seen as what it is
        ("1e999", None),
        ("0x10", None),
        ("", None),
    ],
)
def test_the_number_of_a_cell(cell: str, number: float | None) -> None:
    assert pl.DataFrame({"cell": [cell]}).select(parsing.number("cell", pl.String())).item() == number


@pytest.mark.parametrize(
    ("cell", "symbol"),
    [
        ("AAPL", "AAPL"),
        (" BRK/A ", "BRK/A"),
        *((word, word) for word in ("NA", "NAN", "NULL", "NONE", "TRUE", "INF", "CON", "1", "005930", "ÄÖÜ", "A B")),
        ("EEE\0\0\0", None),  # fixed-width exports
        ("A\tB", None),
        ("A\x1b[31m", None),  # would colour the terminal
        ("A\u200b", None),  # cannot be seen, and is another symbol than A
        ("\ufffd", None),  # bytes that were no text: which letter, nobody knows
        ("A" * 41, None),
        ("", None),
    ],
)
def test_what_can_be_a_symbol(cell: str, symbol: str | None) -> None:
    assert pl.DataFrame({"cell": [cell]}).select(parsing.symbol("cell")).item() == symbol
    assert parsing.is_symbol(cell.strip()) == (symbol is not None)


def test_today_is_the_exchange_s_day() -> None:
    """25 hours lie between these two, so that their days differ at any time."""
    ahead, behind = (parsing.today(zone) for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"))
    assert ahead > behind
    days = pl.DataFrame({"session": [behind, ahead]})
    assert days.select(parsing.session_come("Pacific/Pago_Pago")).to_series().to_list() == [behind, None]


@pytest.mark.parametrize(
    ("written", "ours"),
    [("aapl", "AAPL"), ("brk-b", "BRK-B"), ("AMpB", "AMpB"), ("AMPB", "AMPB"), ("7203.t", "7203.T"), ("Aapl", "Aapl")],
)
def test_small_letters_alone_are_capitals_and_mixed_ones_are_kept(written: str, ours: str) -> None:
    assert parsing.spelled(written) == ours
    assert pl.DataFrame({"cell": [written]}).select(parsing.spelled_column("cell")).item() == ours
