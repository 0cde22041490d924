"""The synthetic market: 74 invented companies, so that everything can be tried offline. Reads nothing, stores nothing.

How the past stays the past: every session draws its random numbers from a generator of its own, keyed by seed and date,
and what is fixed about a company is drawn from the seed alone (demo_companies.py). The last session only decides how
much of that is shown. Prices follow a market factor with regimes, a factor per
sector and noise of their own, each pulled back softly so that decades stay plausible.
"""

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sessions import ExchangeCalendar, exchange_calendar
from breadthflow_pipelines.sources.demo_companies import (
    CLOSES,
    COMPANIES,
    EPOCH,
    INTRADAY,
    SECTORS,
    UNIVERSE,
    WITHOUT_SECTOR,
    Companies,
    Span,
    generator,
    symbol_name,
)
from breadthflow_pipelines.sources.protocol import (
    BAR_SCHEMA,
    MEMBER_SCHEMA,
    SECURITY_SCHEMA,
    Chunk,
    Description,
    Outcome,
)


@dataclass(frozen=True)
class BrokenRow:
    """A row that the contract for bars must reject, under the symbol and session that it is delivered with."""

    symbol: str
    session: dt.date
    reason: str  # in the words of that contract
    change: tuple[pl.Expr, ...] = ()  # what is done to the true bar; nothing where only its double is wrong
    double_of: dt.date | None = None  # an additional row, made from this session's bar; else the true bar is replaced


_OUTSIDE_CALENDAR = dt.date(2022, 6, 18)
BROKEN_ROWS = (
    BrokenRow(symbol_name(3), dt.date(2017, 3, 14), "high below low", (pl.col("low").mul(0.9).round(2).alias("high"),)),
    BrokenRow(symbol_name(22), dt.date(2018, 10, 9), "price not positive", (pl.col("low").neg(),)),
    BrokenRow(
        symbol_name(31), dt.date(2019, 7, 23), "price missing or not finite", (pl.lit(float("nan")).alias("close"),)
    ),
    BrokenRow(
        symbol_name(44), dt.date(2020, 11, 17), "close outside the bar", (pl.col("high").mul(1.05).alias("close"),)
    ),
    BrokenRow(symbol_name(52), dt.date(2021, 4, 20), "volume negative", (pl.col("volume").add(1).neg(),)),
    BrokenRow(
        symbol_name(11),
        _OUTSIDE_CALENDAR,
        "no closed session of XNYS",
        (pl.lit(_OUTSIDE_CALENDAR).alias("session"),),
        double_of=dt.date(2022, 6, 17),
    ),
    BrokenRow(symbol_name(25), dt.date(2023, 9, 12), "another row of the session differs"),
    BrokenRow(
        symbol_name(25),
        dt.date(2023, 9, 12),
        "another row of the session differs",
        (pl.col("open", "high", "low", "close").mul(1.02).round(2),),
        double_of=dt.date(2023, 9, 12),
    ),
    BrokenRow(symbol_name(50), dt.date(2025, 2, 4), "open outside the bar", (pl.col("low").mul(0.95).alias("open"),)),
)
"""All rows to be rejected from a New York market that reaches past 2025-02-04, whatever its seed."""


@dataclass(frozen=True)
class Regime:
    """How the market behaves for a while: daily log drift and volatility, multiple of volume, length in sessions."""

    drift: float
    volatility: float
    volume: float
    shortest: int
    longest: int
    then: tuple[tuple[str, float], ...]  # what follows, with its probability


REGIMES = {
    "calm": Regime(0.0008, 0.0075, 1.0, 30, 140, (("washout", 0.45), ("drift", 0.45), ("surge", 0.10))),
    "drift": Regime(-0.0015, 0.0100, 1.1, 10, 40, (("calm", 0.55), ("washout", 0.45))),
    "washout": Regime(-0.0120, 0.0120, 1.7, 6, 12, (("surge", 0.55), ("calm", 0.25), ("drift", 0.20))),
    "surge": Regime(0.0140, 0.0080, 1.4, 5, 9, (("calm", 0.80), ("drift", 0.20))),
}
_FIRST_CALM = 60  # sessions of calm before the first change of regime

TICK_DECIMALS = 2
GROWTH = 0.06 / 252  # log drift of the level that prices are pulled to, per session
MARKET_MEMORY, OWN_MEMORY = 0.9985, 0.998  # share of yesterday's distance from that level that is left today
SECTOR_VOLATILITY = 0.0045
QUIET_RATE = 0.00025  # of symbol-sessions without a trade


@dataclass(frozen=True)
class _Paths:
    """Sessions by companies, from the epoch on."""

    close: NDArray[np.float64]
    quiet: NDArray[np.bool_]  # no trade: the bar repeats the close before
    listed: NDArray[np.int16]  # row of the symbol's interval; -1 where the company is not in the market
    volume_multiple: NDArray[np.float64]  # sessions only


def _following(regime: Regime, draw: float) -> Regime:
    for name, probability in regime.then[:-1]:
        draw -= probability
        if draw < 0:
            return REGIMES[name]
    return REGIMES[regime.then[-1][0]]


class DemoMarket:
    """A source of invented daily bars; the same seed gives the same past on whatever day and for whatever range.

    Pays no dividends and splits nothing, so ``close_adjusted`` is ``close``. Prices are dollars on a one-cent tick,
    volume is whole shares. The rows of BROKEN_ROWS are wrong on purpose.

    Args:
        calendar: whose sessions the market trades on. Its changes move no price of another day: the market's paths
            go on from one of the library's sessions to the next.
        seed: names the market; not negative.
        last_session: how far it reaches; by default through the last session that has closed.

    Raises:
        RequestError: the last session lies before the market's first.
    """

    name = "demo"
    synthetic = True

    def __init__(self, calendar: ExchangeCalendar, seed: int = 1969, last_session: dt.date | None = None) -> None:
        self._seed = seed
        traded = calendar.between(EPOCH, last_session or calendar.last_closed())
        if not traded:
            raise RequestError(
                f"The demo market has no session through {last_session}: it begins in {EPOCH:%Y-%m}. "
                "Ask for a later day."
            )
        self._first, self._last = traded[0], traded[-1]
        self._traded = pl.Series(traded, dtype=pl.Date).implode()
        steps = set(exchange_calendar(calendar.name).between(EPOCH, self._last))
        self._sessions = sorted(steps.union(traded))
        self._steps = np.array([session in steps for session in self._sessions])
        self._ordinals = np.array([session.toordinal() for session in self._sessions])
        self._companies = Companies.drawn(seed)
        self._symbols = [span for span in self._companies.symbols if span.first <= self._last.toordinal()]

    def describe(self) -> Description:
        return Description(
            name=self.name,
            about=f"synthetic market, invented by a random number generator with seed {self._seed}; not real prices",
            synthetic=True,
            symbols=len({span.symbol for span in self._symbols}),
            first_session=self._first,
            last_session=self._last,
        )

    def fingerprint(self) -> str:
        """Its seed and its last session: everything else is in this program."""
        return f"{self._seed} {self._last}"

    def securities(self) -> pl.DataFrame:
        spans = self._dated(self._companies.symbols)
        sectors = [None if i in WITHOUT_SECTOR else SECTORS[i % len(SECTORS)] for i in range(COMPANIES)]
        facts = pl.DataFrame(
            {
                "company": range(COMPANIES),
                "source_key": [f"SYN-{i:04}" for i in range(COMPANIES)],
                "name": [
                    f"Synthetic {sector or 'Company'} {i // len(SECTORS) + 1:02}" for i, sector in enumerate(sectors)
                ],
                "sector": sectors,
            }
        )
        return spans.join(facts, on="company", maintain_order="left").select(SECURITY_SCHEMA.names())

    def members(self) -> pl.DataFrame:
        spans = self._dated(self._companies.members)
        return spans.with_columns(universe=pl.lit(UNIVERSE)).select(MEMBER_SCHEMA.names())

    def bars(self, symbols: Collection[str] | None, start: dt.date, end: dt.date) -> Iterator[Chunk]:
        """Bars from start through end, a chunk per calendar year. Outcomes without bars come with the last chunk."""
        missing = {span.symbol for span in self._symbols} if symbols is None else set(symbols)
        asked = pl.Series(sorted(missing), dtype=pl.String)
        since, through = max(start, self._first), min(end, self._last)
        last_year = max(since.year, through.year)
        for year in range(since.year, last_year + 1):
            delivered = self._delivered(max(since, dt.date(year, 1, 1)), min(through, dt.date(year, 12, 31)))
            frame = delivered.filter(pl.col("symbol").is_in(asked.implode()))
            outcomes = dict.fromkeys(frame["symbol"].unique().to_list(), Outcome.FETCHED)
            missing -= outcomes.keys()
            if year == last_year:
                outcomes |= self._without_bars(missing, start)
            yield Chunk(frame, outcomes)

    def _without_bars(self, symbols: set[str], start: dt.date) -> dict[str, Outcome]:
        living = {span.symbol for span in self._symbols if span.until > self._last.toordinal()}
        waiting = symbols & living if start > self._last else set()
        return {symbol: Outcome.NOT_YET if symbol in waiting else Outcome.ABSENT for symbol in sorted(symbols)}

    def _rows(self, first: int, until: int) -> slice:
        """The sessions of an interval of ordinals, as positions; an end in the future is the end of what is known."""
        start, stop = np.searchsorted(self._ordinals, [first, until])
        return slice(int(start), int(stop))

    def _dated(self, spans: list[Span]) -> pl.DataFrame:
        """Company, symbol, valid_from and valid_to of what has begun, on sessions; what has not ended yet is open."""
        dates = dict(enumerate(self._sessions))
        begun = [(span, self._rows(span.first, span.until)) for span in spans]
        return pl.DataFrame(
            [
                (span.company, span.symbol, dates[rows.start], dates.get(rows.stop))
                for span, rows in begun
                if rows.start in dates and rows.start < rows.stop
            ],
            schema={"company": pl.Int64, "symbol": pl.String, "valid_from": pl.Date, "valid_to": pl.Date},
            orient="row",
        )

    @cached_property
    def _paths(self) -> _Paths:
        shape = (len(self._sessions), COMPANIES)
        listed = np.full(shape, -1, dtype=np.int16)
        starts = np.zeros(shape, dtype=np.bool_)
        starts[0] = True
        for number, span in enumerate(self._symbols):
            rows = self._rows(span.first, span.until)
            listed[rows, span.company] = number
            starts[rows.start : rows.start + 1, span.company] = True
        log_close, quiet, volume_multiple = self._latent()
        quiet &= ~starts  # a first bar has no close to repeat
        traded = np.maximum.accumulate(np.where(quiet, 0, np.arange(shape[0])[:, None]), axis=0)
        close = np.take_along_axis(np.exp(log_close).round(TICK_DECIMALS), traded, axis=0)
        return _Paths(close, quiet, listed, volume_multiple)

    @cached_property
    def _priors(self) -> NDArray[np.intp]:
        """Of each session, the row of the step before it."""
        last_step = np.maximum.accumulate(np.where(self._steps, np.arange(len(self._steps)), 0))
        return np.concatenate(([0], last_step[:-1]))

    def _latent(self) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
        """Log closes as if every company traded always, who does not trade, and the regime's multiple of volume."""
        companies, sectors = self._companies, np.arange(COMPANIES) % len(SECTORS)
        log_close = np.empty((len(self._sessions), COMPANIES))
        quiet = np.empty(log_close.shape, dtype=np.bool_)
        volume_multiple = np.empty(len(self._sessions))
        market, sector, own = 0.0, np.zeros(len(SECTORS)), np.zeros(COMPANIES)
        regime, left = REGIMES["calm"], _FIRST_CALM
        step = 0
        for row, ordinal in enumerate(self._ordinals):
            before = (market, sector, own, regime, left)
            rng = generator(self._seed, ordinal, CLOSES)
            turn, length = rng.random(2)
            if left == 0:
                regime = _following(regime, turn)
                left = regime.shortest + int(length * (regime.longest - regime.shortest + 1))
            left -= 1
            market = MARKET_MEMORY * market + regime.drift + regime.volatility * rng.standard_normal()
            sector = OWN_MEMORY * sector + SECTOR_VOLATILITY * rng.standard_normal(len(SECTORS))
            own = OWN_MEMORY * own + companies.volatility * rng.standard_normal(COMPANIES)
            log_close[row] = companies.log_price + GROWTH * step + companies.beta * market + sector[sectors] + own
            quiet[row] = rng.random(COMPANIES) < QUIET_RATE
            volume_multiple[row] = regime.volume
            if self._steps[row]:
                step += 1
            else:
                market, sector, own, regime, left = before
        return log_close, quiet, volume_multiple

    def _true_bars(self, since: dt.date, through: dt.date) -> pl.DataFrame:
        """All bars of those days as an honest vendor would give them, in BAR_SCHEMA."""
        rows = self._rows(since.toordinal(), through.toordinal() + 1)
        close, quiet = self._paths.close[rows], self._paths.quiet[rows]
        prior = self._paths.close[self._priors[rows]]
        noise = np.empty((4, *close.shape))
        for row, ordinal in enumerate(self._ordinals[rows]):
            noise[:, row] = generator(self._seed, ordinal, INTRADAY).standard_normal((4, COMPANIES))
        spread = 0.5 * self._companies.volatility
        move = np.log(close / prior)
        opened = (prior * np.exp(0.4 * move + spread * noise[0])).round(TICK_DECIMALS)
        high = (np.maximum(opened, close) * np.exp(spread * abs(noise[1]))).round(TICK_DECIMALS)
        low = (np.minimum(opened, close) * np.exp(-spread * abs(noise[2]))).round(TICK_DECIMALS)
        activity = np.exp(0.35 * noise[3] + 0.15 * abs(move) / self._companies.volatility)
        volume = np.rint(self._companies.shares * self._paths.volume_multiple[rows, None] * activity)
        there = self._paths.listed[rows] >= 0
        names = pl.Series([span.symbol for span in self._symbols], dtype=pl.String)
        return pl.DataFrame(
            {
                "symbol": names.gather(self._paths.listed[rows][there]),
                "session": np.array(self._sessions[rows], dtype="datetime64[D]")[there.nonzero()[0]],
                "open": np.where(quiet, close, opened)[there],
                "high": np.where(quiet, close, high)[there],
                "low": np.where(quiet, close, low)[there],
                "close": close[there],
                "volume": np.where(quiet, 0.0, volume)[there],
                "close_adjusted": close[there],
            },
            schema=BAR_SCHEMA,
        )

    def _delivered(self, since: dt.date, through: dt.date) -> pl.DataFrame:
        """The bars of those days with the broken rows among them."""
        true = self._true_bars(since, through).filter(pl.col("session").is_in(self._traded))
        broken = [row for row in BROKEN_ROWS if since <= row.session <= through]
        if not broken:
            return true
        pieces = [
            self._true_bars(day, day).filter(pl.col("symbol") == row.symbol).with_columns(*row.change)
            for row in broken
            for day in [row.double_of or row.session]
        ]
        replaced = pl.DataFrame(
            [(row.symbol, row.session) for row in broken if row.double_of is None],
            schema={"symbol": pl.String, "session": pl.Date},
            orient="row",
        )
        kept = true.join(replaced, on=["symbol", "session"], how="anti", maintain_order="left")
        return pl.concat([kept, *pieces]).with_columns(close_adjusted=pl.col("close").fill_nan(None))
