"""Daily bars from Yahoo through yfinance: symbol by symbol, throttled, and resumed after a failure.

Yahoo has one request for each symbol, whatever yfinance's download() is given, and download() turns every error into a
log line. So each symbol is requested by itself, where "unknown", "nothing in that range" and "not now" stay apart. How
requests are sent and answers are read is in yahoo_client.py.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import polars as pl
import yfinance
from curl_cffi import requests
from yfinance.data import YfData
from yfinance.exceptions import YFException, YFRateLimitError

from breadthflow_pipelines.errors import SourceError
from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.sources.journal import Journal
from breadthflow_pipelines.sources.listing import securities_of
from breadthflow_pipelines.sources.protocol import (
    BAR_SCHEMA,
    MEMBER_SCHEMA,
    Chunk,
    Description,
    Outcome,
)
from breadthflow_pipelines.sources.throttle import StopAskingError, Throttle
from breadthflow_pipelines.sources.yahoo_client import (
    ChangedAnswerError,
    NoAnswerError,
    NoBarsError,
    UnknownSymbolError,
    YahooSession,
    bars_of_history,
    configure_yfinance,
    in_words,
    yahoo_symbol,
)

TIMEOUT = 20.0  # seconds for one answer
ATTEMPTS = 4  # for one symbol
IN_A_ROW = 5  # failures in a row: the symbols are not the cause
CHUNK_SYMBOLS = 25  # the most symbols that are requested again after a run was killed
CHUNK_ROWS = 300_000
LOOK_BACK = dt.timedelta(days=400)  # bars that a member needs from before it joined: 252 sessions and some
LATE_SESSIONS = 3  # rows of the last sessions may still arrive, those of earlier ones do not
Needed = tuple[dt.date | None, dt.date | None]  # first day and first day out of a symbol's use; None: without limit


class Yahoo:
    """Bars of given symbols; prices adjusted for splits as Yahoo does it, close_adjusted also for dividends.

    The outcome of a symbol: FETCHED, it has bars; ABSENT, it is unknown there, or has no bar in a range that is over;
    NOT_YET, its newest session is missing or has no prices yet; FAILED, no usable answer in several attempts. Sessions
    that have not closed are left out, as are rows without any value. Rows on days that are not sessions, and rows with
    some cells empty, are delivered, to be rejected by name. The journal records a symbol as done once the caller asks
    for the next chunk, which it does after storing the one before.

    symbols: ours, at least one, each with the days for which it is needed; a call without symbols requests those of its
    range, because a symbol that left long ago may belong to another company by now. calendar: which sessions are over.
    journal: what interrupted calls have fetched. cache: a directory for yfinance's own cookies and time zones.
    instruments: a CSV with symbol, name, sector. members_from: the first day of the universe "symbols", made of all
    symbols; None: there is no such universe. gateway: an address that gets every request instead of Yahoo's hosts.
    """

    name = "yahoo"
    synthetic = False

    def __init__(
        self,
        symbols: Mapping[str, Needed],
        calendar: ExchangeCalendar,
        journal: Journal,
        throttle: Throttle,
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
        self._throttle = throttle
        self._cache = cache
        self._session = YahooSession(throttle, gateway)

    def describe(self) -> Description:
        """Its symbols, and the library it uses. Asks Yahoo once whether it answers.

        Raises:
            SourceError: it does not answer, or asks for a long pause.
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
        return securities_of(self.symbols, self.instruments)

    def members(self) -> pl.DataFrame:
        """Universe ``symbols``: all of them, from the first day of history on; empty without ``members_from``.

        A list of today's symbols lacks those that have left: on it, past breadth looks better than it was.
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
        """Bars as Source.bars says, of what the journal does not have as done; the last chunk says what went wrong.

        Raises:
            SourceError: Yahoo gave nothing at all, or its answers have another form than this program knows.
        """
        end = min(end, self._last_closed())
        asked = self._due(start, end) if symbols is None else sorted(set(symbols))
        if end < start:  # nothing of it has closed
            yield Chunk(pl.DataFrame(schema=BAR_SCHEMA), dict.fromkeys(asked, Outcome.NOT_YET))
            return
        # Symbols that are named are fetched again; only calls for all of them are resumed.
        remembered = symbols is None
        done = {
            symbol: outcome
            for symbol in (asked if remembered else ())
            if (outcome := self.journal.settled(symbol, start, end))
        }
        call = _Call(self, start, end)
        YfData.cache_get.cache_clear()  # else a long process would get yesterday's answers again
        self._throttle.begin()
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
        """The first day of what failed recently and is still missing; None where nothing is."""
        return self.journal.unfinished_since()

    def history(self, symbol: str, start: dt.date, end: dt.date) -> pl.DataFrame:
        """The closed sessions of one symbol, in BAR_SCHEMA, in one attempt. ``_Call`` handles what it raises."""
        configure_yfinance(self._cache)
        ticker = yfinance.Ticker(yahoo_symbol(symbol), session=self._session)
        frame = ticker.history(
            start=start,
            end=end + dt.timedelta(days=1),  # yfinance's end is the first day out
            interval="1d",
            auto_adjust=False,
            actions=False,
            keepna=True,  # rows without values are left out by us
            timeout=TIMEOUT,
        )
        return bars_of_history(symbol, frame).filter(pl.col("session").is_between(start, end))

    def newest(self, end: dt.date) -> dt.date:
        """The last session through ``end``."""
        return self._calendar.on_or_before(end)

    def may_come(self, end: dt.date) -> bool:
        """Whether a symbol that has no rows through ``end`` may still get them."""
        return end >= self._calendar.back(self._last_closed(), LATE_SESSIONS)

    def rest(self, attempt: int, wanted: float | None) -> None:
        """Wait before asking again."""
        self._throttle.rest(attempt, wanted)

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
            self._session.check(yahoo_symbol(self.symbols[0]))
        except (NoAnswerError, YFRateLimitError, requests.exceptions.RequestException, StopAskingError) as error:
            raise SourceError(f"{self._session.where} does not answer: {in_words(error)}; try again later.") from None
        return True


class _Call:
    """One call of Yahoo.bars: requests symbols until too many fail in a row, and keeps the reasons."""

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
        """What went wrong: each reason once, with its symbols."""
        problems = [
            f"{reason}: {_listed(symbols)}" for reason, symbols in self.failed.items() if reason != self._stopped
        ]
        if self._left:
            problems.append(f"{self._stopped}; not asked for: {_listed(self._left)}")
        return tuple(problems)

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
        """Ask until the answer is final or ATTEMPTS are used up. Outcome, bars, and the reason of a failure."""
        nothing, reason = pl.DataFrame(schema=BAR_SCHEMA), ""
        for attempt in range(ATTEMPTS):
            try:
                return *self._judged(self._source.history(symbol, self._start, self._end)), ""
            except UnknownSymbolError:
                return Outcome.ABSENT, nothing, ""
            except NoBarsError:
                return *self._judged(nothing), ""
            except ChangedAnswerError as error:
                return Outcome.FAILED, nothing, str(error)
            except (NoAnswerError, YFException, requests.exceptions.RequestException) as error:
                reason = in_words(error)
                if attempt + 1 < ATTEMPTS:
                    self._source.rest(attempt, getattr(error, "after", None))
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                return Outcome.FAILED, nothing, f"yfinance cannot read the answer ({type(error).__name__}: {error})"
        return Outcome.FAILED, nothing, reason

    def _judged(self, bars: pl.DataFrame) -> tuple[Outcome, pl.DataFrame]:
        """The outcome that bars mean, and the bars without the newest session while that has no close yet."""
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


def _batches(symbols: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(symbols), CHUNK_SYMBOLS):
        yield symbols[first : first + CHUNK_SYMBOLS]


def _listed(symbols: Sequence[str], most: int = 10) -> str:
    more = f" and {len(symbols) - most} more" if len(symbols) > most else ""
    return ", ".join(symbols[:most]) + more
