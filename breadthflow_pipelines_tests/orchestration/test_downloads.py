"""A directory as people download it from Yahoo, one file per symbol, read without any configuration for it."""

import datetime as dt
from pathlib import Path

import pytest

from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines_tests.orchestration.conftest import Store

FIRST, LAST = dt.date(2024, 12, 2), dt.date(2025, 1, 31)
MOURNING = "2025-01-09"  # New York stayed closed
SYMBOLS = ("AAA", "BBB", "BRK-B", "CCC", "DDD", "EEE")
FAULTS = {  # by symbol: a line that Yahoo's files may hold, in place of the day's own, and why it is put aside
    "AAA": (
        "2024-12-16,null,null,null,null,null,null",
        ["price missing or not finite", "volume missing or not finite"],
    ),
    "BBB": ("2024-12-17,10,9,12,11,11,1000", ["high below low"]),
    "BRK-B": (f"{MOURNING},10,12,9,11,11,0", ["no closed session of XNYS"]),
    "CCC": ("2024-12-19,10,12,9,11,11,-1000", ["volume negative"]),
    "DDD": ("2024-12-21,10,12,9,11,11,1000", ["no closed session of XNYS"]),  # a Saturday
}


def lines(symbol: str) -> list[str]:
    """A file as Yahoo wrote them: dates, prices with many digits, the adjusted close beside the plain one."""
    number = SYMBOLS.index(symbol)
    rows = {}
    for place, session in enumerate(exchange_calendar("XNYS").between(FIRST, LAST)):
        close = 20 + number + place % (number + 3) / 8
        cells = (close, close + 0.75, close - 0.75, close, close * 0.96)
        rows[str(session)] = ",".join([str(session), *(f"{cell:.6f}" for cell in cells), str(1000 + place)])
    if symbol in FAULTS:
        fault = FAULTS[symbol][0]
        rows[fault.partition(",")[0]] = fault
    return ["Date,Open,High,Low,Close,Adj Close,Volume", *(rows[date] for date in sorted(rows))]


@pytest.mark.slow
def test_a_directory_of_yahoo_s_layout_loads_without_configuration(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "Downloads"
    place.mkdir()
    for symbol in SYMBOLS:
        (place / f"{symbol}.csv").write_text("\n".join(lines(symbol)) + "\n")
    (place / "notes.md").write_text("downloaded on a rainy day")
    for name in ("UNIVERSE_FILE", "INDEX_SYMBOLS"):
        monkeypatch.delenv(f"BREADTHFLOW_{name}")
    monkeypatch.setenv("BREADTHFLOW_SOURCE_PATH", str(place))
    monkeypatch.setenv("BREADTHFLOW_START", "2024-12")
    get_settings.cache_clear()

    report = store.run(FIRST, LAST)

    assert (report.exit_status, report.problems) == (0, ())
    assert [check.name for check in report.checks if check.status != "passed"] == []
    faults = {symbol: fault.split(",")[0] for symbol, (fault, _) in FAULTS.items()}
    assert store.rows("SELECT symbol, session::text, reasons FROM rejected_bars ORDER BY symbol") == [
        (symbol, faults[symbol], reasons) for symbol, (_, reasons) in sorted(FAULTS.items())
    ]
    stored = store.rows(
        "SELECT symbol, session::text, open, high, low, close, close_adjusted, volume "
        "FROM bars JOIN security_symbols USING (security_id) ORDER BY symbol, session"
    )
    expected = []
    for symbol in SYMBOLS:
        for line in lines(symbol)[1:]:
            date, *prices, volume = line.split(",")
            if date != faults.get(symbol):
                expected.append((symbol, date, *map(float, prices), int(volume)))
    assert stored == expected
    sessions = exchange_calendar("XNYS").between(FIRST, LAST)
    counted = store.rows(
        "SELECT universe, session::text, members, priced FROM breadth_counts WHERE segment = 'ALL' ORDER BY session"
    )
    assert counted == [
        ("all", str(day), len(SYMBOLS), len(SYMBOLS) - (str(day) in faults.values())) for day in sessions
    ]
