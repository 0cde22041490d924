"""Daily bars from Yahoo through yfinance: asked for politely, symbol by symbol, and gone on with after a failure.

Yahoo has one request for each symbol, whatever yfinance's download() is given, and download() turns every error into a
log line. So each symbol is asked for by itself, where "unknown", "nothing in that range" and "not now" stay apart.
Every request of yfinance, its cookies included, goes through one session of ours, which counts, waits and judges.
"""

import datetime as dt
import json
import logging
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import polars as pl
import yfinance
from curl_cffi import requests
from yfinance.data import YfData
from yfinance.exceptions import YFException, YFRateLimitError

from breadthflow_pipelines.errors import SourceError
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.model.vocabulary import PRICES
from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.sources.journal import Journal
from breadthflow_pipelines.sources.protocol import (
    BAR_SCHEMA,
    MEMBER_SCHEMA,
    SECURITY_SCHEMA,
    Chunk,
    Description,
    Outcome,
)
from breadthflow_pipelines.sources.throttle import Manners, StopAskingError, retry_after
from breadthflow_pipelines.sources.universe_file import INSTRUMENT_SCHEMA, read_instruments
from breadthflow_pipelines.spelling import spelled

HOST = "https://query2.finance.yahoo.com"
CHART = "/v8/finance/chart/"
TIMEOUT = 20.0  # seconds for one answer
CHECK_TIMEOUT = 5.0  # seconds; whether it answers at all
ATTEMPTS = 4  # for one symbol
IN_A_ROW = 5  # so many symbols that failed one after the other are not about the symbols
CHUNK_SYMBOLS = 25  # a run that is killed asks for at most so many symbols twice
CHUNK_ROWS = 300_000
LOOK_BACK = dt.timedelta(days=400)  # bars that a member needs from before it joined: 252 sessions and some
LATE_SESSIONS = 3  # a symbol without rows up to here may still get them; what ended before has none to come
SHARE_CLASSES = (".A", ".B", ".C")  # a class, as no exchange has one of these suffixes; other dots are exchanges'
COLUMNS = {  # what history() must give, and what we call it
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Volume": "volume",
    "Adj Close": "close_adjusted",
}
Needed = tuple[dt.date | None, dt.date | None]  # first day and first day out of a symbol's use; None: without limit


class _GoneError(Exception):
    """Yahoo does not know the symbol."""


class _NothingError(Exception):
    """Yahoo knows the symbol, but has nothing of it in the range."""


class _OtherFormError(Exception):
    """The answer is not what it used to be; asking again gives the same."""


class _BrokenError(Exception):
    """No usable answer this time. after: seconds that Yahoo wants to be left alone."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Yahoo:
    """Bars of given symbols; prices adjusted for splits as Yahoo does it, close_adjusted also for dividends.

    What it says about a symbol: FETCHED, it has bars; ABSENT, unknown there, or without any bar in a range that is
    over; NOT_YET, its newest session is missing or has no prices yet; FAILED, no usable answer in several attempts.
    Sessions that have not closed are left out, as is a row in which Yahoo has nothing at all; rows on days that are no
    sessions, and rows with some cells empty, come along, to be rejected by name. The journal takes a symbol for got
    once the caller comes back for the next chunk, which it does after storing the one before.

    symbols: ours, at least one, each with the days for which anybody needs it; a call without symbols asks for those of
    its range, because a symbol that left long ago may be another company's by now. calendar: which sessions are over.
    journal: what is known of calls that broke off. cache: a directory for yfinance's own cookies and time zones.
    instruments: a CSV with symbol, name, sector. members_from: the first day of the universe "symbols", made of all
    symbols; None: it brings no universe. gateway: an address that every request is sent to instead of Yahoo's hosts.
    """

    name = "yahoo"
    synthetic = False

    def __init__(
        self,
        symbols: Mapping[str, Needed],
        calendar: ExchangeCalendar,
        journal: Journal,
        manners: Manners,
        cache: Path,
        *,
        instruments: Path | None = None,
        members_from: dt.date | None = None,
        gateway: str | None = None,
        last_closed: Callable[[], dt.date] | None = None,
    ) -> None:
        self.symbols = sorted(symbols)
        self._needed = symbols
        self.journal = journal
        self.instruments = instruments
        self.members_from = members_from
        self._calendar = calendar
        self._last_closed = last_closed or calendar.last_closed
        self._manners = manners
        self._cache = cache
        self._session = _Session(manners, gateway)

    def describe(self) -> Description:
        """Its symbols, and the library it goes through. Asks Yahoo once whether it answers.

        Raises:
            SourceError: it does not, or it wants to be left alone.
        """
        self._answers  # noqa: B018 - once for each object
        return Description(
            name=self.name,
            about=f"daily bars from {self._session.where} through yfinance {yfinance.__version__}",
            synthetic=self.synthetic,
            symbols=len(self.symbols),
            first_session=None,
            last_session=None,
        )

    def securities(self) -> pl.DataFrame:
        """One row per symbol, valid without limits, the symbol as its key; name and sector as far as known."""
        known = read_instruments(self.instruments) if self.instruments else pl.DataFrame(schema=INSTRUMENT_SCHEMA)
        listed = pl.DataFrame({"symbol": self.symbols}).join(known, on="symbol", how="left", maintain_order="left")
        never = pl.lit(None, pl.Date)
        return listed.select(
            pl.col("symbol").alias("source_key"),
            "symbol",
            never.alias("valid_from"),
            never.alias("valid_to"),
            "name",
            "sector",
        ).cast(SECURITY_SCHEMA)

    def members(self) -> pl.DataFrame:
        """Universe ``symbols``: all of them, from the first day of history on; empty where a universe file says more.

        A list of today's symbols knows nothing of those that left: breadth of the past looks better on it than it was.
        """
        if self.members_from is None:
            return pl.DataFrame(schema=MEMBER_SCHEMA)
        return pl.DataFrame({"symbol": self.symbols}).select(
            pl.lit("symbols").alias("universe"),
            "symbol",
            pl.lit(self.members_from).alias("valid_from"),
            pl.lit(None, pl.Date).alias("valid_to"),
        )

    def bars(self, symbols: Collection[str] | None, start: dt.date, end: dt.date) -> Iterator[Chunk]:
        """Bars as Source.bars says, of what is not known to be got already; the last chunk says what went wrong.

        Raises:
            SourceError: Yahoo gave nothing at all, or answers in another form than this program was written for.
        """
        end = min(end, self._last_closed())
        asked = self._due(start, end) if symbols is None else sorted(set(symbols))
        if end < start:  # nothing of it has closed
            yield Chunk(pl.DataFrame(schema=BAR_SCHEMA), dict.fromkeys(asked, Outcome.NOT_YET))
            return
        # Whoever names symbols wants them anew; only calls for all of them are gone on with.
        remembered = symbols is None
        done = {
            symbol: outcome
            for symbol in (asked if remembered else ())
            if (outcome := self.journal.settled(symbol, start, end))
        }
        call = _Call(self, start, end)
        YfData.cache_get.cache_clear()  # it would give this process yesterday's answers again
        self._manners.begin()
        for batch in _batches([symbol for symbol in asked if symbol not in done]):
            for chunk in call.ask(batch):
                yield chunk
                if remembered:
                    self.journal.note(chunk.outcomes, start, end)  # the caller came back, so the chunk is stored
        if call.failed and not call.answered and not done:
            raise SourceError(f"{self._session.where} gave no bars: {call.problems()[0]}.")
        if remembered:
            self.journal.close()
        yield Chunk(pl.DataFrame(schema=BAR_SCHEMA), done, call.problems())

    def unfinished_since(self) -> dt.date | None:
        """The first day of what failed in the last days and is still to be got; None where nothing is."""
        return self.journal.unfinished_since()

    def history(self, symbol: str, start: dt.date, end: dt.date) -> pl.DataFrame:
        """The closed sessions of one symbol, in BAR_SCHEMA, in one attempt. Raises what ``_Call`` sorts out."""
        _prepare(self._cache)
        ticker = yfinance.Ticker(_theirs(symbol), session=self._session)
        frame = ticker.history(
            start=start,
            end=end + dt.timedelta(days=1),  # yfinance's end is the first day out
            interval="1d",
            auto_adjust=False,
            actions=False,
            keepna=True,  # which rows count is decided here
            timeout=TIMEOUT,
        )
        return _bars(symbol, frame).filter(pl.col("session").is_between(start, end))

    def newest(self, end: dt.date) -> dt.date:
        """The last session through ``end``."""
        return self._calendar.back(end, 0)

    def may_come(self, end: dt.date) -> bool:
        """Whether a symbol that has no rows through ``end`` may still get them."""
        return end >= self._calendar.back(self._last_closed(), LATE_SESSIONS)

    def rest(self, attempt: int, wanted: float | None) -> None:
        """Wait before asking again."""
        self._manners.rest(attempt, wanted)

    def _due(self, start: dt.date, end: dt.date) -> list[str]:
        return [
            symbol
            for symbol in self.symbols
            for first, out in [self._needed[symbol]]
            if (first is None or first - LOOK_BACK <= end) and (out is None or out > start)
        ]

    @cached_property
    def _answers(self) -> bool:
        try:
            self._session.check(_theirs(self.symbols[0]))
        except (_BrokenError, YFRateLimitError, requests.exceptions.RequestException, StopAskingError) as error:
            raise SourceError(f"{self._session.where} does not answer: {_words(error)}; try again later.") from None
        return True


class _Call:
    """One call of Yahoo.bars: asks for symbols until too many fail in a row, and remembers why they did."""

    def __init__(self, source: Yahoo, start: dt.date, end: dt.date) -> None:
        self.answered = False
        self.failed: dict[str, list[str]] = defaultdict(list)  # reason: symbols
        self._source = source
        self._start = start
        self._end = end
        self._stopped: str | None = None
        self._left: list[str] = []
        self._row = 0

    def ask(self, batch: Sequence[str]) -> Iterator[Chunk]:
        """The batch's bars and outcomes, in one chunk, or in more where they are many."""
        frames, outcomes, rows = [pl.DataFrame(schema=BAR_SCHEMA)], dict[str, Outcome](), 0
        for symbol in batch:
            outcome, bars = self._one(symbol)
            if rows + bars.height > CHUNK_ROWS:
                yield Chunk(pl.concat(frames), outcomes)
                frames, outcomes, rows = [bars.clear()], {}, 0
            frames.append(bars)
            outcomes[symbol] = outcome
            rows += bars.height
        yield Chunk(pl.concat(frames), outcomes)

    def problems(self) -> tuple[str, ...]:
        """What went wrong, each reason once with the symbols it befell."""
        told = [(reason, symbols) for reason, symbols in self.failed.items() if reason != self._stopped]
        found = [f"{reason}: {_listed(symbols)}" for reason, symbols in told]
        if self._left:
            found.append(f"{self._stopped}; not asked for: {_listed(self._left)}")
        return tuple(found)

    def _one(self, symbol: str) -> tuple[Outcome, pl.DataFrame]:
        nothing = pl.DataFrame(schema=BAR_SCHEMA)
        if self._stopped is not None:
            self._left.append(symbol)
            return Outcome.FAILED, nothing
        try:
            outcome, bars, reason = self._persist(symbol)
        except StopAskingError as stop:
            self._stop(str(stop), symbol)
            return Outcome.FAILED, nothing
        if outcome is Outcome.FAILED:
            self.failed[reason].append(symbol)
            self._row += 1
            if self._row == IN_A_ROW:
                self._stop(f"{IN_A_ROW} symbols failed in a row; run again later for the rest")
        else:
            self.answered, self._row = True, 0
        return outcome, bars

    def _persist(self, symbol: str) -> tuple[Outcome, pl.DataFrame, str]:
        """Ask until there is an answer that will not change, or as often as one may; and why it failed, if it did."""
        nothing, reason = pl.DataFrame(schema=BAR_SCHEMA), ""
        for attempt in range(ATTEMPTS):
            try:
                return *self._judged(self._source.history(symbol, self._start, self._end)), ""
            except _GoneError:
                return Outcome.ABSENT, nothing, ""
            except _NothingError:
                return *self._judged(nothing), ""
            except _OtherFormError as error:
                return Outcome.FAILED, nothing, str(error)
            except (_BrokenError, YFException, requests.exceptions.RequestException) as error:
                reason = _words(error)
                if attempt + 1 < ATTEMPTS:
                    self._source.rest(attempt, getattr(error, "after", None))
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                return Outcome.FAILED, nothing, f"yfinance cannot read the answer ({type(error).__name__}: {error})"
        return Outcome.FAILED, nothing, reason

    def _judged(self, bars: pl.DataFrame) -> tuple[Outcome, pl.DataFrame]:
        """What bars mean, without the newest session's while that has no close yet."""
        if self._source.may_come(self._end):
            newest = self._source.newest(self._end)
            bars = bars.filter((pl.col("session") != newest) | pl.col("close").is_not_null())
            if newest not in bars["session"]:
                return Outcome.NOT_YET, bars
        return (Outcome.ABSENT if bars.is_empty() else Outcome.FETCHED), bars

    def _stop(self, reason: str, *symbols: str) -> None:
        self._stopped = reason
        self._left.extend(symbols)
        self.failed[reason] = self._left


class _Session(requests.Session[requests.Response]):
    """What yfinance sends its requests with: looks like a browser, as Yahoo wants, and keeps our manners.

    Answers about bars are judged here, where status and headers are at hand: later, yfinance tells an unknown symbol,
    an error of the server and a page of HTML apart by luck only, and sends every refused request again at once.
    """

    def __init__(self, manners: Manners, gateway: str | None) -> None:
        super().__init__(impersonate="chrome")
        self._manners = manners
        self._gateway = gateway.rstrip("/") if gateway else None
        self.where = f"{shown(self._gateway)} (for Yahoo)" if self._gateway else "Yahoo"

    def request(self, method: Any, url: str, *args: Any, **options: Any) -> requests.Response:
        """Send one request of yfinance's, when its time has come."""
        self._manners.ask()
        answer = super().request(method, self._routed(url), *args, **options)
        if CHART in url:
            _judge(answer, history="period1" in (options.get("params") or {}))
        return answer

    def check(self, symbol: str) -> None:
        """Ask for the last bar of a symbol, to see whether there is an answer."""
        try:
            self.request(
                "GET", f"{HOST}{CHART}{symbol}", params={"range": "1d", "interval": "1d"}, timeout=CHECK_TIMEOUT
            )
        except (_GoneError, _NothingError, _OtherFormError):
            return  # an answer all the same

    def _routed(self, url: str) -> str:
        return url if self._gateway is None else self._gateway + (urlsplit(url).path or "/")


def _judge(answer: requests.Response, *, history: bool) -> None:
    """Raise what an answer about bars means, unless it holds bars or yfinance should mend its cookies (401, 403).

    history: bars of a range were asked for; otherwise only what is known of the symbol, such as its time zone.
    """
    status = answer.status_code
    if status == 429:
        raise _BrokenError("HTTP 429, too many requests", retry_after(answer.headers.get("Retry-After")))
    if status >= 500:
        raise _BrokenError(f"HTTP {status}", retry_after(answer.headers.get("Retry-After")))
    if status in (401, 403):
        return
    try:
        chart = json.loads(answer.content)["chart"]
        error, results = chart["error"], chart["result"]
    except (ValueError, KeyError, TypeError):
        raise _BrokenError(f"no JSON of a chart, but {_start(answer)}") from None
    if error:
        _refuse(str(error.get("code")), str(error.get("description")))
    if history:
        _require_bars(results)


def _require_bars(results: Any) -> None:
    if not results or not results[0].get("timestamp"):
        raise _NothingError
    held = set(results[0].get("indicators", {}))
    if "adjclose" not in held:  # yfinance would take the plain close for it, without a word
        raise _OtherFormError("the answer has no adjusted close any more")


def _refuse(code: str, description: str) -> None:
    if code == "Not Found":
        raise _GoneError
    if "doesn't exist for" in description:  # "Data doesn't exist for startDate = ..., endDate = ..."
        raise _NothingError
    raise _BrokenError(f"{code}: {description}")


def _start(answer: requests.Response) -> str:
    text = " ".join(answer.content[:60].decode("utf-8", "replace").split())
    return f"{text!r}" if text else "nothing"


def _prepare(cache: Path) -> None:
    """Set what yfinance keeps for the whole process. Its cache stays where it was first used."""
    if _prepared:
        return
    _prepared.append(cache)
    cache.mkdir(parents=True, exist_ok=True)
    yfinance.set_tz_cache_location(str(cache))
    yfinance.config.debug.hide_exceptions = False
    logging.getLogger("yfinance").setLevel(logging.CRITICAL)  # what it would log, our outcomes say
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="yfinance")  # what pandas says of it


_prepared: list[Path] = []


def _bars(symbol: str, frame: pd.DataFrame) -> pl.DataFrame:
    """BAR_SCHEMA's columns of what history() returned; days in the exchange's own time zone.

    Raises:
        _OtherFormError: it is not a frame with the columns of COLUMNS and days as its index.
    """
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing or not isinstance(frame.index, pd.DatetimeIndex):
        raise _OtherFormError(
            f"yfinance {yfinance.__version__} gives no {', '.join(missing) or 'days'}; it has "
            f"{', '.join(map(str, frame.columns))}"
        )
    numbers = {ours: pl.Series(frame[theirs].to_numpy(dtype="float64")) for theirs, ours in COLUMNS.items()}
    days = pl.Series("session", list(frame.index.date), dtype=pl.Date)
    return (
        pl.DataFrame({"session": days, **numbers})
        .with_columns(pl.lit(symbol).alias("symbol"), pl.col(*numbers).fill_nan(None))
        .select(BAR_SCHEMA.names())
        .filter(pl.any_horizontal(pl.col(*PRICES).is_not_null()) | (pl.col("volume") > 0))
    )


def _theirs(symbol: str) -> str:
    """Yahoo's spelling: a dash before a share class, a dot before an exchange (BRK-B, BT-A.L, 7203.T)."""
    if symbol.endswith(SHARE_CLASSES):
        return spelled(symbol)
    stem, dot, exchange = symbol.rpartition(".")
    return f"{spelled(stem)}.{exchange}" if dot else spelled(symbol)


def _batches(symbols: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(symbols), CHUNK_SYMBOLS):
        yield symbols[first : first + CHUNK_SYMBOLS]


def _listed(symbols: Sequence[str], most: int = 10) -> str:
    more = f" and {len(symbols) - most} more" if len(symbols) > most else ""
    return ", ".join(symbols[:most]) + more


def _words(error: BaseException) -> str:
    """What happened, in one line, without an address."""
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.RequestException):
        return f"the connection broke ({type(error).__name__})"
    return str(error).split("\n", 1)[0]
