"""The invented companies of the demo market: when each is listed, under which symbols, and when it is a member.

All of it is drawn from the seed alone, for all of time. Their prices are in demo.py.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EPOCH = dt.date(2016, 1, 1)  # the market opens on the first session from here on
UNIVERSE = "demo"
SECTORS = (
    "Communication Services",
    "Consumer Discretionary",
    "Consumer Staples",
    "Energy",
    "Financials",
    "Health Care",
    "Industrials",
    "Information Technology",
    "Materials",
    "Real Estate",
    "Utilities",
)

COMPANIES = 74  # six or seven for each sector: enough to see everything, few enough for a quick first run
DELISTING = range(56, 62)  # companies that leave the market some day
LISTING = range(62, 74)  # companies that come to it after the epoch; all others are there from first to last
WITHOUT_SECTOR = frozenset({15, 33, 50, 70})
HORIZON_DAYS = 11 * 365  # listings, delistings and changes of membership fall into these days after the epoch
RENAMES = {17: dt.date(2018, 6, 11), 47: dt.date(2022, 2, 14)}  # company: first day under its second symbol
SEASONING_DAYS = 90  # from a listing to joining the universe
ABSENCE_DAYS = 300  # of members that leave and come back
NEVER = dt.date.max.toordinal()
TRAITS, CLOSES, INTRADAY = range(3)  # independent streams of one key


@dataclass(frozen=True)
class Reuse:
    """A symbol that goes from a company that left to one that comes later."""

    leaver: int
    left: dt.date
    taker: int
    listed: dt.date


REUSES = (
    Reuse(leaver=56, left=dt.date(2017, 8, 14), taker=62, listed=dt.date(2019, 3, 18)),
    Reuse(leaver=57, left=dt.date(2019, 11, 4), taker=63, listed=dt.date(2021, 6, 7)),
)


def symbol_name(number: int) -> str:
    """Symbol of that number, such as ``XQAB.SYN``; no exchange uses the suffix. Unique below 26 cubed."""
    scattered = number * 7919 % 26**3  # 7919 is coprime to 26, so different numbers stay different
    letters = (scattered // 676, scattered // 26 % 26, scattered % 26)
    return "X" + "".join(chr(ord("A") + letter) for letter in letters) + ".SYN"


def generator(seed: int, ordinal: int, stream: int) -> np.random.Generator:
    """The random numbers of one day and one stream, the same whatever was drawn before."""
    key = np.array([seed % 2**64, ordinal], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, stream]))


@dataclass(frozen=True)
class Span:
    """Days as ordinals: a company under one symbol from ``first`` until the day before ``until``."""

    company: int
    symbol: str
    first: int
    until: int

    def within(self, first: int, until: int) -> "Span":
        """The part of it in these days."""
        return Span(self.company, self.symbol, max(self.first, first), min(self.until, until))


@dataclass(frozen=True)
class Companies:
    """What the seed alone decides: traits, one value per company, and intervals through all of time."""

    log_price: NDArray[np.float64]
    beta: NDArray[np.float64]
    volatility: NDArray[np.float64]  # of the company's own noise, per session
    shares: NDArray[np.float64]  # traded on an ordinary session
    symbols: list[Span]
    members: list[Span]

    @classmethod
    def drawn(cls, seed: int) -> "Companies":
        """The companies of the market that the seed names."""
        rng = generator(seed, 0, TRAITS)
        log_price = rng.uniform(np.log(14), np.log(200), COMPANIES)
        beta = rng.uniform(0.6, 1.4, COMPANIES)
        volatility = rng.uniform(0.011, 0.024, COMPANIES)
        shares = np.exp(rng.uniform(np.log(2e5), np.log(2e7), COMPANIES))
        lives = _lives(rng.integers(SEASONING_DAYS, HORIZON_DAYS, COMPANIES))
        symbols = [span for company, life in enumerate(lives) for span in _symbols(company, *life)]
        kinds = rng.random(COMPANIES)
        kinds[list(RENAMES)] = 1  # members for good, so that every seed has a membership that passes to a new symbol
        days = rng.integers(SEASONING_DAYS, HORIZON_DAYS, COMPANIES)
        terms = [_terms(*values) for values in zip(kinds, EPOCH.toordinal() + days, lives, strict=True)]
        pieces = [span.within(*term) for span in symbols for term in terms[span.company]]
        return cls(log_price, beta, volatility, shares, symbols, [span for span in pieces if span.first < span.until])


def _lives(days: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First day and first day after of each company; ``days`` after the epoch is when it lists or leaves."""
    epoch = EPOCH.toordinal()
    lives = [(epoch, NEVER)] * COMPANIES
    for company in DELISTING:
        lives[company] = (epoch, epoch + int(days[company]))
    for company in LISTING:
        lives[company] = (epoch + int(days[company]), NEVER)
    for reuse in REUSES:
        lives[reuse.leaver] = (epoch, reuse.left.toordinal())
        lives[reuse.taker] = (reuse.listed.toordinal(), NEVER)
    return lives


def _symbols(company: int, first: int, until: int) -> Iterator[Span]:
    taken_over = {reuse.taker: reuse.leaver for reuse in REUSES}
    symbol = symbol_name(taken_over.get(company, company))
    if company in RENAMES:
        renamed = RENAMES[company].toordinal()
        yield Span(company, symbol, first, renamed)
        yield Span(company, symbol_name(COMPANIES + company), renamed, until)
    else:
        yield Span(company, symbol, first, until)


def _terms(kind: float, day: int, life: tuple[int, int]) -> list[tuple[int, int]]:
    """When a company is in the universe, by a uniform draw and an eventful day of its own."""
    first, until = life
    if first > EPOCH.toordinal():
        first += SEASONING_DAYS
    if kind < 0.05:  # never a member
        return []
    if kind < 0.10:  # joins late
        return [(max(first, day), until)]
    if kind < 0.15:  # leaves
        return [(first, day)]
    if kind < 0.21:  # leaves and comes back
        return [(first, day), (max(first, day + ABSENCE_DAYS), until)]
    return [(first, until)]
