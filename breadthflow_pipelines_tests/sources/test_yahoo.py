"""Yahoo through the real yfinance, against a server that speaks its format: what is got, told apart and asked again."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from breadthflow_pipelines.errors import SourceError
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.sources import yahoo
from breadthflow_pipelines.sources.journal import Journal
from breadthflow_pipelines.sources.protocol import BAR_SCHEMA, Chunk, Outcome
from breadthflow_pipelines.sources.throttle import LONGEST_WAIT, Throttle
from breadthflow_pipelines.sources.yahoo import ATTEMPTS, IN_A_ROW, Needed, Yahoo
from breadthflow_pipelines.sources.yahoo_client import bars_of_history
from breadthflow_pipelines_tests.sources.vendor import (
    ERROR,
    PAGE,
    SILENT,
    Answer,
    Clock,
    YahooVendor,
    serve,
    too_many,
)

MONDAY, TUESDAY, WEDNESDAY = (dt.date(2024, 3, day) for day in (4, 5, 6))
WEEK = (MONDAY, TUESDAY, WEDNESDAY)
THURSDAY, FRIDAY = dt.date(2024, 3, 7), dt.date(2024, 3, 8)
ALWAYS: Needed = (None, None)
CHUNK = 4  # symbols, in the tests that are about chunks


@pytest.fixture
def vendor() -> Iterator[YahooVendor]:
    yield from serve(YahooVendor())  # type: ignore[misc]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(vendor: YahooVendor, clock: Clock, tmp_path: Path, yfinance_cache: Path) -> Callable[..., Yahoo]:
    """Makes a source as a new process would; Wednesday is the last session that has closed."""

    def make(*symbols: str, budget: int = 10_000, closed: dt.date = WEDNESDAY, **options: object) -> Yahoo:
        throttle = Throttle(5, budget, clock=clock.now, sleep=clock.sleep, jitter=lambda: 1.0)
        return Yahoo(
            dict.fromkeys(symbols, ALWAYS),
            exchange_calendar("XNYS"),
            Journal(tmp_path / "sources" / "journal.jsonl"),
            throttle,
            yfinance_cache,
            gateway=vendor.url,
            last_closed=lambda: closed,
            **options,  # type: ignore[arg-type]
        )

    return make


@pytest.fixture(scope="session")
def yfinance_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """yfinance can use only one for the whole process."""
    return tmp_path_factory.mktemp("yfinance")


def read(source: Yahoo, start: dt.date = MONDAY, end: dt.date = WEDNESDAY) -> Chunk:
    """Everything that a call gives, as one chunk."""
    chunks = list(source.bars(None, start, end))
    outcomes = {symbol: outcome for chunk in chunks for symbol, outcome in chunk.outcomes.items()}
    problems = tuple(problem for chunk in chunks for problem in chunk.problems)
    return Chunk(pl.concat([chunk.bars for chunk in chunks]), outcomes, problems)


def test_bars_come_as_yahoo_has_them_with_the_adjusted_close_beside(
    vendor: YahooVendor, source: Callable[..., Yahoo]
) -> None:
    vendor.give("AAPL", MONDAY, TUESDAY, WEDNESDAY)
    vendor.give(
        "AAPL", WEDNESDAY, open=171.06, high=171.24, low=168.68, close=169.12, volume=68_587_700, adjusted=168.1
    )
    got = read(source("AAPL"))
    assert got.bars.schema == BAR_SCHEMA
    assert got.bars.row(-1) == ("AAPL", WEDNESDAY, 171.06, 171.24, 168.68, 169.12, 68_587_700.0, 168.1)
    assert got.bars["session"].to_list() == list(WEEK)
    assert (got.outcomes, got.problems) == ({"AAPL": Outcome.FETCHED}, ())


@pytest.mark.parametrize("symbol", ["BRK.B", "BRK-B", "BRK/B", "BRK B"])
def test_a_share_class_is_asked_for_as_yahoo_writes_it_and_given_back_as_we_do(
    vendor: YahooVendor, source: Callable[..., Yahoo], symbol: str
) -> None:
    vendor.give("BRK-B", *WEEK)
    got = read(source(symbol))
    assert set(got.bars["symbol"]) == {symbol}
    assert vendor.histories() == ["BRK-B"]


@pytest.mark.parametrize(
    ("symbol", "theirs"),
    [("SAP.DE", "SAP.DE"), ("7203.T", "7203.T"), ("BT.A.L", "BT-A.L"), ("BT-A.L", "BT-A.L"), ("^GSPC", "^GSPC")],
)
def test_an_exchange_keeps_its_dot(vendor: YahooVendor, source: Callable[..., Yahoo], symbol: str, theirs: str) -> None:
    vendor.give(theirs, *WEEK)
    assert set(read(source(symbol)).bars["symbol"]) == {symbol}
    assert vendor.histories() == [theirs]


def test_what_has_not_closed_or_has_no_close_yet_is_left_out_until_it_has(
    vendor: YahooVendor, source: Callable[..., Yahoo]
) -> None:
    nothing = dict.fromkeys(("open", "high", "low", "close", "volume", "adjusted"))
    vendor.give("RUNNING", *WEEK, THURSDAY)  # Thursday's bar still moves
    vendor.give("TOMORROW", *WEEK)
    vendor.give("TOMORROW", THURSDAY, **nothing)
    vendor.give("UNPRICED", *WEEK)
    vendor.give("UNPRICED", WEDNESDAY, open=None, high=None, low=None, close=None, adjusted=None, volume=5e6)
    vendor.give("LATE", MONDAY, TUESDAY)
    got = read(source("RUNNING", "TOMORROW", "UNPRICED", "LATE"), end=FRIDAY)
    last = dict(got.bars.group_by("symbol").agg(pl.col("session").max()).iter_rows())
    assert last == {"RUNNING": WEDNESDAY, "TOMORROW": WEDNESDAY, "UNPRICED": TUESDAY, "LATE": TUESDAY}
    assert got.outcomes == {
        "RUNNING": Outcome.FETCHED,
        "TOMORROW": Outcome.FETCHED,
        "UNPRICED": Outcome.NOT_YET,
        "LATE": Outcome.NOT_YET,
    }
    assert not got.problems


def test_a_row_without_prices_in_the_past_comes_along_to_be_rejected_and_a_row_of_nothing_does_not(
    vendor: YahooVendor, source: Callable[..., Yahoo]
) -> None:
    holes = dict.fromkeys(("open", "high", "low", "close", "adjusted"))
    vendor.give("X", *WEEK)
    vendor.give("X", MONDAY, **holes, volume=1e6)
    vendor.give("X", TUESDAY, **holes, volume=None)
    got = read(source("X"))
    assert got.bars["session"].to_list() == [MONDAY, WEDNESDAY]
    assert got.bars["close"].to_list() == [None, 10.5]


def test_rows_on_days_without_a_session_keep_their_day(vendor: YahooVendor, source: Callable[..., Yahoo]) -> None:
    saturday, good_friday = dt.date(2024, 3, 2), dt.date(2024, 3, 29)
    vendor.give("X", saturday, good_friday, dt.date(2024, 4, 1))
    got = read(source("X", closed=dt.date(2024, 4, 1)), dt.date(2024, 3, 1), dt.date(2024, 4, 1))
    assert got.bars["session"].to_list() == [saturday, good_friday, dt.date(2024, 4, 1)]


def test_days_are_those_of_the_exchange_on_both_sides_of_summer_time(
    vendor: YahooVendor, source: Callable[..., Yahoo]
) -> None:
    days = exchange_calendar("XNYS").between(dt.date(2024, 3, 7), dt.date(2024, 3, 13))  # clocks change on the 10th
    vendor.give("X", *days)
    assert read(source("X", closed=days[-1]), days[0], days[-1]).bars["session"].to_list() == days


def test_unknown_nothing_in_the_range_and_not_yet_are_told_apart(
    vendor: YahooVendor, source: Callable[..., Yahoo]
) -> None:
    vendor.give("DELISTED", dt.date(2020, 1, 2))
    vendor.give("EMPTY")  # known, without a single row
    old = (dt.date(2024, 2, 1), dt.date(2024, 2, 2))
    assert read(source("GONE", "DELISTED", "EMPTY"), *old).outcomes == dict.fromkeys(
        ("GONE", "DELISTED", "EMPTY"), Outcome.ABSENT
    )
    recent = read(source("GONE", "DELISTED", "EMPTY"), MONDAY, WEDNESDAY)
    assert recent.outcomes == {"GONE": Outcome.ABSENT, "DELISTED": Outcome.NOT_YET, "EMPTY": Outcome.NOT_YET}
    assert not recent.problems


@pytest.mark.parametrize(
    ("fault", "waits"),
    [
        (too_many("7"), [7.0]),  # seconds
        (too_many(), [2.0]),
        (ERROR, [2.0]),
        (Answer(b"<html>", status=503, headers={"Retry-After": "1"}), [1.0]),
        (PAGE, [2.0]),  # HTML under status 200
        (Answer(b""), [2.0]),
        (Answer(b'{"chart":{"result":[{"meta":{"currency":"USD"', half=True), [2.0]),
        (Answer(b'{"finance":{"result":null,"error":{"code":"internal-error"}}}'), [2.0]),
    ],
    ids=["429 that says when", "429", "500", "503 that says when", "a page", "nothing", "half a body", "no chart"],
)
def test_what_passes_is_asked_again_after_a_while(
    vendor: YahooVendor, source: Callable[..., Yahoo], clock: Clock, fault: Answer, waits: list[float]
) -> None:
    vendor.give("X", *WEEK)
    vendor.fail("X", fault)
    got = read(source("X"))
    assert (got.outcomes, got.problems, got.bars.height) == ({"X": Outcome.FETCHED}, (), 3)
    assert vendor.histories() == ["X", "X"]
    assert [wait for wait in clock.waits if wait > 0.3] == waits  # shorter ones are the limiter's


def test_an_error_on_the_way_to_the_history_is_no_missing_symbol(
    vendor: YahooVendor, source: Callable[..., Yahoo]
) -> None:
    vendor.give("ZONE", *WEEK)
    vendor.first["/v8/finance/chart/ZONE"] = [ERROR, too_many("1")]  # yfinance asks for a time zone first, once
    assert read(source("ZONE")).outcomes == {"ZONE": Outcome.FETCHED}


def test_cookies_that_are_no_longer_good_are_mended_by_yfinance(
    vendor: YahooVendor, source: Callable[..., Yahoo], clock: Clock
) -> None:
    vendor.give("X", *WEEK)
    refusal = b'{"chart":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}'
    vendor.fail("X", Answer(refusal, status=401))
    assert read(source("X")).outcomes == {"X": Outcome.FETCHED}
    assert max(clock.waits, default=0) < 1


def test_a_range_that_has_not_closed_is_not_asked_for(vendor: YahooVendor, source: Callable[..., Yahoo]) -> None:
    assert read(source("X"), THURSDAY, FRIDAY).outcomes == {"X": Outcome.NOT_YET}
    assert vendor.asked == []


def test_silence_is_ended_by_a_time_out(
    vendor: YahooVendor, source: Callable[..., Yahoo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yahoo, "TIMEOUT", 0.2)
    vendor.give("X", *WEEK)
    vendor.give("Y", *WEEK)
    vendor.fail("X", *[SILENT] * ATTEMPTS)
    got = read(source("X", "Y"))
    assert got.outcomes == {"X": Outcome.FAILED, "Y": Outcome.FETCHED}
    assert got.problems == ("no answer in time: X",)


def test_what_fails_again_and_again_is_reported_and_the_rest_is_kept(
    vendor: YahooVendor, source: Callable[..., Yahoo], clock: Clock
) -> None:
    for symbol in ("A", "B", "C"):
        vendor.give(symbol, *WEEK)
    vendor.fail("A", *[ERROR] * ATTEMPTS)
    vendor.fail("B", *[ERROR] * ATTEMPTS)
    got = read(source("A", "B", "C"))
    assert got.outcomes == {"A": Outcome.FAILED, "B": Outcome.FAILED, "C": Outcome.FETCHED}
    assert got.problems == ("HTTP 500: A, B",)
    assert set(got.bars["symbol"]) == {"C"}
    assert [wait for wait in clock.waits if wait > 0.3] == [2.0, 4.0, 8.0] * 2  # none after the last attempt


def test_the_next_run_asks_only_for_what_is_missing_and_the_one_after_it_for_everything(
    vendor: YahooVendor, source: Callable[..., Yahoo]
) -> None:
    for symbol in ("A", "B", "C"):
        vendor.give(symbol, *WEEK)
    vendor.fail("B", *[ERROR] * ATTEMPTS)
    assert read(source("A", "B", "C", "GONE")).outcomes["B"] is Outcome.FAILED
    assert source("A").unfinished_since() == MONDAY
    vendor.asked.clear()
    again = read(source("A", "B", "C", "GONE"))
    assert vendor.histories() == ["B"]
    assert set(again.bars["symbol"]) == {"B"}
    assert again.outcomes == dict.fromkeys("ABC", Outcome.FETCHED) | {"GONE": Outcome.ABSENT}
    assert source("A").unfinished_since() is None
    vendor.asked.clear()
    read(source("A", "B", "C", "GONE"))  # nothing is missing now, so it is asked whether anything was corrected
    assert vendor.histories() == ["A", "B", "C"]


def test_who_names_symbols_gets_them_anew_and_leaves_the_journal_alone(
    vendor: YahooVendor, source: Callable[..., Yahoo]
) -> None:
    for symbol in "AB":
        vendor.give(symbol, *WEEK)
    vendor.fail("B", *[ERROR] * ATTEMPTS)
    read(source("A", "B"))
    before = source("A", "B").journal.path.read_text()
    vendor.fail("B", *[ERROR] * ATTEMPTS)
    named = list(source("A", "B").bars(["A", "B"], MONDAY, WEDNESDAY))
    assert set(pl.concat(chunk.bars for chunk in named)["symbol"]) == {"A"}  # it is known there as got
    assert source("A", "B").journal.path.read_text() == before


def test_a_vendor_that_dies_in_the_middle_is_gone_on_with_where_it_stopped(
    vendor: YahooVendor, source: Callable[..., Yahoo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yahoo, "CHUNK_SYMBOLS", CHUNK)
    symbols = [f"S{number:02}" for number in range(CHUNK + 10)]
    for symbol in symbols:
        vendor.give(symbol, *WEEK)
    for symbol in symbols[CHUNK + 3 :]:
        vendor.fail(symbol, *[Answer(half=True, body=b"{}")] * ATTEMPTS)
    first = read(source(*symbols))
    assert [symbol for symbol in symbols if first.outcomes[symbol] is Outcome.FETCHED] == symbols[: CHUNK + 3]
    assert len(vendor.histories()) == CHUNK + 3 + IN_A_ROW * ATTEMPTS  # then it was left alone
    assert (
        f"{IN_A_ROW} symbols failed in a row; run again later for the rest; not asked for: S12, S13" in first.problems
    )
    vendor.faults.clear()
    vendor.asked.clear()
    second = read(source(*symbols))
    assert vendor.histories() == symbols[CHUNK + 3 :]
    assert set(second.outcomes.values()) == {Outcome.FETCHED}
    both = pl.concat([first.bars, second.bars])
    assert both.height == both.unique(["symbol", "session"]).height == 3 * len(symbols)


def test_what_was_not_stored_is_asked_for_again(
    vendor: YahooVendor, source: Callable[..., Yahoo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yahoo, "CHUNK_SYMBOLS", CHUNK)
    symbols = [f"S{number:02}" for number in range(CHUNK + 1)]
    for symbol in symbols:
        vendor.give(symbol, *WEEK)
    chunks = source(*symbols).bars(None, MONDAY, WEDNESDAY)
    next(chunks)
    chunks.close()  # the store broke on the first chunk, or the process was killed: nobody came back
    vendor.asked.clear()
    chunks = source(*symbols).bars(None, MONDAY, WEDNESDAY)
    next(chunks)
    next(chunks)  # the first chunk was stored
    chunks.close()
    vendor.asked.clear()
    read(source(*symbols))
    assert vendor.histories() == symbols[CHUNK:]


def test_a_wider_range_is_asked_for_whatever_the_journal_knows(
    vendor: YahooVendor, source: Callable[..., Yahoo]
) -> None:
    vendor.give("A", *WEEK)
    vendor.give("B", *WEEK)
    vendor.fail("B", *[ERROR] * ATTEMPTS)
    read(source("A", "B"), TUESDAY, WEDNESDAY)
    vendor.asked.clear()
    assert read(source("A", "B"), MONDAY, WEDNESDAY).bars.height == 6
    assert vendor.histories() == ["A", "B"]


def test_a_budget_ends_the_run_and_the_next_one_goes_on(vendor: YahooVendor, source: Callable[..., Yahoo]) -> None:
    symbols = [f"Q{number}" for number in range(8)]
    for symbol in symbols:
        vendor.give(symbol, *WEEK)
    read(
        source(*symbols), *[MONDAY] * 2
    )  # their time zones are known now, so that a symbol is one request and a cookie
    vendor.asked.clear()
    first = read(source(*symbols, budget=9))
    assert len(vendor.asked) == 9
    assert Outcome.FAILED in first.outcomes.values()
    assert "budget of 9 requests is spent" in first.problems[0]
    assert "BREADTHFLOW_REQUEST_BUDGET" in first.problems[0]
    done = {symbol for symbol, outcome in first.outcomes.items() if outcome is Outcome.FETCHED}
    vendor.asked.clear()
    read(source(*symbols))
    assert done
    assert set(vendor.histories()) == set(symbols) - done


def test_a_vendor_that_wants_a_long_pause_is_left_alone(
    vendor: YahooVendor, source: Callable[..., Yahoo], clock: Clock
) -> None:
    vendor.give("A", *WEEK)
    vendor.give("B", *WEEK)
    vendor.fail("B", too_many(f"{LONGEST_WAIT + 1:.0f}"))
    got = read(source("A", "B", "C"))
    assert got.outcomes == {"A": Outcome.FETCHED, "B": Outcome.FAILED, "C": Outcome.FAILED}
    assert got.problems == ("it asks for no requests for 301 seconds; run again after that; not asked for: B, C",)
    assert max(clock.waits, default=0) < 1
    assert vendor.histories() == ["A", "B"]


def test_a_vendor_that_gives_nothing_at_all_is_an_error(vendor: YahooVendor, source: Callable[..., Yahoo]) -> None:
    symbols = ("A", "B", "C")
    for symbol in symbols:
        vendor.give(symbol, *WEEK)
        vendor.fail(symbol, *[too_many()] * ATTEMPTS)
    with pytest.raises(SourceError, match=r"gave no bars: HTTP 429, too many requests: A, B, C\.$"):
        read(source(*symbols))


@pytest.mark.parametrize(
    ("spelling", "reason"),
    [
        ({"adjclose": "adjustedClose"}, "no adjusted close any more"),  # yfinance would give the plain one instead
        ({"close": "last"}, "cannot read the answer .KeyError: 'close'"),
    ],
)
def test_an_answer_of_another_form_is_refused_and_not_asked_for_again(
    vendor: YahooVendor, source: Callable[..., Yahoo], spelling: dict[str, str], reason: str
) -> None:
    vendor.give("A", *WEEK)
    vendor.spelling = spelling
    with pytest.raises(SourceError, match=reason):
        read(source("A"))
    assert vendor.histories() == ["A"]


def test_a_frame_of_yfinance_s_that_lacks_a_column_is_refused_by_name() -> None:
    import pandas as pd

    frame = pd.DataFrame({"Open": [1.0], "Close": [1.0]}, index=pd.DatetimeIndex(["2024-03-04"], tz="UTC"))
    with pytest.raises(Exception, match=r"yfinance .* gives no High, Low, Volume, Adj Close; it has Open, Close"):
        bars_of_history("X", frame)


def test_a_split_between_two_fetches_comes_as_yahoo_tells_it(vendor: YahooVendor, source: Callable[..., Yahoo]) -> None:
    vendor.give("X", *WEEK, open=100, high=110, low=90, close=105, adjusted=101)
    before = read(source("X"))
    vendor.give("X", *WEEK, open=10, high=11, low=9, close=10.5, volume=10_000, adjusted=10.1)
    after = read(source("X"))  # in the same process, whose yfinance has the first answer in its cache
    assert (before.bars["close"].to_list(), after.bars["close"].to_list()) == ([105.0] * 3, [10.5] * 3)


def test_only_symbols_that_somebody_needs_in_the_range_are_asked_for(
    vendor: YahooVendor, clock: Clock, tmp_path: Path, yfinance_cache: Path
) -> None:
    needed: dict[str, Needed] = {
        "LEFT": (dt.date(2010, 1, 4), dt.date(2024, 3, 4)),  # Monday was its first day out
        "LEFT-LATER": (dt.date(2010, 1, 4), dt.date(2024, 3, 5)),
        "JOINS": (dt.date(2025, 3, 3), None),  # will look back on a year of bars
        "JOINS-LATE": (dt.date(2026, 3, 2), None),
        "INDEX": ALWAYS,
    }
    throttle = Throttle(5, 1000, clock=clock.now, sleep=clock.sleep)
    journal = Journal(tmp_path / "journal.jsonl")
    source = Yahoo(needed, exchange_calendar("XNYS"), journal, throttle, yfinance_cache, gateway=vendor.url)
    assert set(read(source).outcomes) == {"LEFT-LATER", "JOINS", "INDEX"}


def test_describe_names_the_library_and_asks_once_whether_yahoo_answers(
    vendor: YahooVendor, source: Callable[..., Yahoo]
) -> None:
    found = source("A", "B")
    assert "through yfinance 1." in found.describe().about
    assert found.describe().symbols == 2
    assert len(vendor.asked) == 1
    vendor.first["/v8/finance/chart/A"] = [too_many("60")]
    with pytest.raises(SourceError, match="does not answer: HTTP 429, too many requests; try again later"):
        source("A", "B").describe()


def test_without_a_universe_file_the_symbols_are_a_universe(source: Callable[..., Yahoo]) -> None:
    assert source("A", "B").members().is_empty()
    members = source("B", "A", members_from=dt.date(2016, 1, 1)).members()
    assert members.rows() == [(("symbols"), symbol, dt.date(2016, 1, 1), None) for symbol in ("A", "B")]
    assert source("B", "A").securities()["source_key"].to_list() == ["A", "B"]
