"""What is judged, registered before it is judged: rules and their sides, horizons, universes, eras. Computes nothing.

A p-value is worth what one knows of the tests beside it. So the list is data, it has a version, and every result names
it. Whoever adds a rule, a horizon or a universe adds a version: a test holds each version to its fingerprint.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass
from functools import cached_property

from breadthflow_pipelines.model.vocabulary import BUY, COMBINED, HORIZONS, SELL, WHOLE, Action
from breadthflow_pipelines.signals.rules import RULES

# NASDAQ was the last exchange to leave fractions for cents, by this day (SEC Release 34-44003). From then on a move of
# less than a sixteenth is no longer unchanged, so every count of advances and declines has its break here.
DECIMALS = dt.date(2001, 4, 9)


@dataclass(frozen=True)
class Claim:
    """One rule's word on what comes: the universe rises (buy) or falls behind its mean (sell). A hold claims none."""

    rule: str
    side: Action


@dataclass(frozen=True)
class Family:
    """All that is tried at once. A universe that is not in it is a family of its own, with the same claims."""

    version: int
    registered: dt.date
    claims: tuple[Claim, ...]
    horizons: tuple[int, ...]
    universes: tuple[str, ...]

    @cached_property
    def fingerprint(self) -> str:
        """8 hexadecimal characters that change with anything that is tried."""
        text = repr((self.claims, self.horizons, self.universes))
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    @property
    def name(self) -> str:
        """What a result says it was judged among: ``1-0a1b2c3d``."""
        return f"{self.version}-{self.fingerprint}"


def _buys(*rules: str) -> tuple[Claim, ...]:
    return tuple(Claim(rule, "buy") for rule in rules)


def _sells(*rules: str) -> tuple[Claim, ...]:
    return tuple(Claim(rule, "sell") for rule in rules)


# Written out and not derived from RULES: a rule that is new tomorrow was not registered today. Whaley's capitulations
# are not here, for they claim nothing: no source was found in which he acts on them.
FAMILY = Family(
    version=1,
    registered=dt.date(2026, 11, 25),
    claims=(
        *_buys(
            "zweig_breadth_thrust",
            "zweig_breadth_thrust_sma",
            "appel_time_trend",
            "deemer_breakaway_momentum",
            "two_to_one_thrust",
            "whaley_adt5",
            "whaley_adt20",
            "mcclellan_oversold_recovery",
            "surge_above_50",
            "twenty_day_high_thrust",
            "new_high_surge",
            "record_high_surge",
            "whaley_udt5",
            "whaley_udt2",
            "ninety_percent_reversal",
            "ninety_percent_reversal_volume",
            "zweig_breadth_thrust_calibrated",
            "deemer_breakaway_momentum_calibrated",
            "two_to_one_thrust_calibrated",
            "whaley_adt20_calibrated",
            "whaley_udt2_calibrated",
            "conviction",
            "breadth_score",
        ),
        *_sells("hindenburg_omen", "hindenburg_omen_confirmed", "hindenburg_omen_28", "breadth_score"),
    ),
    horizons=HORIZONS,
    universes=("NYSE", "NASDAQ", "AMEX", "sp500"),
)


# What is said of single members: what the rules say together, and the vote of each. Every universe is a family.
SYMBOL_FAMILY = Family(
    version=1,
    registered=dt.date(2026, 11, 26),
    claims=tuple(
        Claim(rule, side)
        for side in (BUY, SELL)
        for rule in (
            COMBINED,
            *("trend", "momentum", "rsi", "breakout", "relative_strength", "volume_confirmation"),
        )
    ),
    horizons=HORIZONS,
    universes=(),
)


@dataclass(frozen=True)
class Era:
    """A part of history by the session of the signal: after ``after``, through ``through`` (None: no bound)."""

    name: str
    after: dt.date | None = None
    through: dt.date | None = None


def eras(rule: str) -> tuple[Era, ...]:
    """The whole, and what is shown beside it: before and since decimals, before and since the rule's publication.

    Numbers that were fitted to the past prove nothing there, so what came after the publication is told apart. A rule
    that nobody published has no such eras.
    """
    eve = DECIMALS - dt.timedelta(days=1)
    known = (Era(WHOLE), Era("before_decimals", through=eve), Era("since_decimals", after=eve))
    published = RULES[rule].published
    if published is None:
        return known
    return (*known, Era("before_publication", through=published), Era("since_publication", after=published))
