"""Backtests in words and as a picture: never without what holding made, never without what chance would have made."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from breadthflow_pipelines.reports import svg
from breadthflow_pipelines.reports.svg import Line


def worth_sentence(universe: str, rule: Mapping[str, Any], held: Mapping[str, Any]) -> str:
    """What following a rule made of a universe, beside holding it. rule, held: rows of the table of backtests."""
    made = (
        f"**{universe}**: following {rule['rule']} made {_share(rule['cagr'])} a year after costs of "
        f"{rule['cost']:g} basis points, holding {_share(held['cagr'])}"
    )
    if rule["cagr_as_good"] is None:
        return f"{made}."
    return f"{made}; of 1,000 runs with the same trades at random times {rule['cagr_as_good']:.0%} made as much."


def growth_chart(title: str, growth: pl.DataFrame) -> str:
    """Markdown with the wealth of a rule beside that of holding. growth: session, wealth, held."""
    lines = [
        Line(f"rule {growth['wealth'][-1]:.2f}", growth["wealth"].to_list(), svg.FIRST),
        Line(f"holding {growth['held'][-1]:.2f}", growth["held"].to_list(), svg.SOFT),
    ]
    return svg.markdown(title, svg.chart(title, growth["session"].to_list(), lines, levels=(1,)))


def _share(figure: float) -> str:
    return f"{100 * figure:.1f} %"
