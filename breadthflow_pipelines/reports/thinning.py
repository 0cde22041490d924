"""Fewer points for a line of many sessions, so that its picture stays small. How it is drawn: svg.py."""

import math
from collections.abc import Sequence

MOST_POINTS = 1200  # of a line; of a longer one the least and the greatest value of each stretch are drawn

Values = Sequence[float | None]


def thinned(values: Values) -> list[tuple[int, float | None]]:
    """Numbered values: all, or of each stretch of a long line the least and the greatest, in their order."""
    numbered = list(enumerate(values))
    stretch = math.ceil(2 * len(values) / MOST_POINTS)
    if stretch <= 2:
        return numbered
    kept: list[tuple[int, float | None]] = []
    for start in range(0, len(values), stretch):
        known = [(i, value) for i, value in numbered[start : start + stretch] if value is not None]
        extremes = {min(known, key=_second), max(known, key=_second)} if known else {numbered[start]}
        kept += sorted(extremes, key=lambda point: point[0])
    return kept


def _second(point: tuple[int, float]) -> float:
    return point[1]
