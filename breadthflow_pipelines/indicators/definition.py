"""What defines an indicator: its formula, its source, and how it was verified.

The indicators themselves are defined in the module of their family and collected in breadth_catalogue.py and
technical.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

BRUTE_FORCE = "no figure of it was found published (decisions/published-figures.md); its brute-force twin"


@dataclass(frozen=True)
class Indicator:
    """One indicator: its formula for people and for the machine, and the source of both.

    expression: of breadth, over one series in session order; of members, over rows of price.by_history. formula: the
    same for readers. burn_in: observations that must precede the first value. bounds: the range that the formula cannot
    leave, None where there is no bound. verified: the published figure that a test reproduces, or what it is compared
    with where none was found.
    """

    name: str
    expression: pl.Expr
    family: str
    formula: str
    units: str
    source: str
    verified: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    seed: str = "none"
    burn_in: int = 0
    bounds: tuple[float | None, float | None] = (None, None)
