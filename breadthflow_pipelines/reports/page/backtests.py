"""What following each rule was worth: never without holding beside it, nor without the same trades at random times.

How backtests are made: evaluation/, docs/decisions/evaluation.md.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

import polars as pl

from breadthflow_pipelines.evaluation.backtest import COST
from breadthflow_pipelines.evaluation.growth import by_month
from breadthflow_pipelines.model.vocabulary import (
    BENCHMARK,
    BUY_AND_HOLD,
    FIXED,
    FOLLOWED,
    NO_RATE,
    SAME_EXPOSURE,
    SHOWN_RULE,
    WALK_FORWARD,
)
from breadthflow_pipelines.reports.page.catalogue import GROWTH
from breadthflow_pipelines.reports.page.charts import drawing
from breadthflow_pipelines.reports.page.facts import Facts, Row
from breadthflow_pipelines.reports.page.markup import element, table

_COLUMNS = (
    *("Portfolio", "Trades", "In the market", "Turnover", "Growth a year", "Same exposure", "Random times"),
    *(
        "As good",
        "Volatility",
        "Sharpe",
        "Sortino",
        "Calmar",
        "Deepest fall",
        "From, to, back",
        "Days up",
        "Profit factor",
    ),
)
_BRIEF = (
    *("Portfolio", "Trades", "In the market", "Growth a year", "Same exposure", "Random times", "As good"),
    "Deepest fall",
)
DAYS_UP = (
    " Days up: of the days that earned something else than cash does, those that earned more, after these costs; the "
    "hit rates of records count events."
)
_MONTHS = tuple(f"{dt.date(2000, month, 1):%b}" for month in range(1, 13))


def backtests(facts: Facts) -> Element | None:
    """What following each rule was worth, of the whole history; None before anything was tested."""
    if facts.backtests.is_empty():
        return None
    tested = facts.backtests.filter(pl.col("reason").is_null())
    own = tested.filter(thresholds=FIXED)
    return _section(
        facts,
        own,
        _COLUMNS,
        _shown(facts),
        _folded("What costs change", _costs(own)) if own.height else None,
        _out_of_sample(facts, tested.filter(thresholds=WALK_FORWARD)),
    )


def summary(facts: Facts) -> Element | None:
    """The figures of each rule that one looks at first, and nothing of other costs, other thresholds, single months."""
    if facts.backtests.is_empty():
        return None
    return _section(facts, facts.backtests.filter(pl.col("reason").is_null(), thresholds=FIXED), _BRIEF)


def _section(
    facts: Facts, own: pl.DataFrame, columns: Sequence[str], *more: Element | Iterator[Element] | None
) -> Element:
    """The section. own: backtests by each rule's own thresholds. columns: those of _COLUMNS that are shown of them."""
    untested = _untested(facts.backtests)
    places = [_COLUMNS.index(name) for name in columns]
    rows = ([row[place] for place in places] for row in _rows(own))
    return element(
        "section",
        element("h2", "Backtests", id="backtests-title"),
        element("p", _about(own) + (DAYS_UP if "Days up" in columns and own.height else ""), class_="about"),
        table(columns, rows, "Backtests of every rule") if own.height else None,
        element("p", untested, class_="about") if untested else None,
        *more,
        class_="card wide-card",
        id="backtests",
        aria_labelledby="backtests-title",
    )


def _shown(facts: Facts) -> Iterator[Element]:
    """The wealth that following one rule made, and its returns by month."""
    if facts.growth.height:
        about = f"{GROWTH.about} Shown because it speaks on every session, not for its figures."
        yield element("h3", f"Following {SHOWN_RULE}")
        yield element("p", about, class_="about")
        yield from drawing(facts, GROWTH)
        yield _folded("Month by month", _monthly(facts.growth))


def _about(own: pl.DataFrame) -> str:
    """What was traded, when, at which cost, and how to read it."""
    if own.is_empty():
        return "Nothing could be tested."
    first = own.row(0, named=True)
    cash = "Cash earns nothing." if first["cash"] == NO_RATE else f"Cash earns {first['cash']}."
    return (
        f"{first['first_session']} to {first['last_session']}, {first['held']} ({first['basis']}), after costs of "
        f"{COST:g} basis points of what changes hands. {cash} A signal is traded at the close of the next session and "
        "counts a quarter; a score counts until it says something else. Same exposure: growth of holding as much, all "
        "the time. Random times: the median growth of 1,000 runs with the same trades at other times; as good: how "
        "many of them grew as much. No rule and no threshold was chosen by these figures, and none is a promise."
    )


def _rows(own: pl.DataFrame) -> Iterator[list[str]]:
    """What is held beside the rules, once, and each rule."""
    at = own.filter(cost=COST)
    for portfolio in (BUY_AND_HOLD, BENCHMARK):
        beside = at.filter(portfolio=portfolio)
        for row in beside.head(1).iter_rows(named=True):
            span = f", {row['first_session']} to {row['last_session']}" if portfolio == BENCHMARK else ""
            yield _cells(f"{portfolio}: {row['held']}{span}", row, None)
    same = {row["rule"]: row["cagr"] for row in at.filter(portfolio=SAME_EXPOSURE).iter_rows(named=True)}
    for row in at.filter(portfolio=FOLLOWED).sort("rule").iter_rows(named=True):
        yield _cells(row["rule"], row, same[row["rule"]])


def _cells(name: str, row: Row, same: float | None) -> list[str]:
    days = [row["peak_session"] or "the start", row["trough_session"], row["recovered_session"] or "not yet"]
    return [
        name,
        "" if row["trades"] is None else f"{row['trades']:,}",
        _share(row["exposure"]),
        _number(row["turnover"]),
        _share(row["cagr"]),
        "" if same is None else _share(same),
        "" if row["cagr_random"] is None else _share(row["cagr_random"]),
        "" if row["cagr_as_good"] is None else _share(row["cagr_as_good"]),
        _share(row["volatility"]),
        *(_number(row[figure]) for figure in ("sharpe", "sortino", "calmar")),
        _share(row["max_drawdown"]),
        " ".join(map(str, days)) if row["trough_session"] else "",
        _share(row["hit_rate"]),
        _number(row["profit_factor"]),
    ]


def _untested(found: pl.DataFrame) -> str | None:
    """The rules without a backtest, by reason."""
    why = found.filter(pl.col("reason").is_not_null()).group_by("thresholds", "reason").agg(pl.col("rule").sort())
    told = [
        f"{', '.join(rules)}{' by walk-forward' if kind == WALK_FORWARD else ''} ({reason})"
        for kind, reason, rules in why.sort("thresholds", "reason").iter_rows()
    ]
    return f"Not tested: {'; '.join(told)}." if told else None


def _monthly(growth: pl.DataFrame) -> Element:
    """The returns of the rule that is shown, by month, and by year."""
    of = {(year, month): change for year, month, change in by_month(growth).iter_rows()}
    rows = []
    for year in sorted({year for year, _ in of}):
        months = [of.get((year, month)) for month in range(1, 13)]
        whole = 1.0
        for change in months:
            whole *= 1 + (change or 0)
        rows.append([str(year), *("" if change is None else _share(change) for change in months), _share(whole - 1)])
    return table(("Year", *_MONTHS, "Year's return"), rows, f"Returns of following {SHOWN_RULE} by month")


def _costs(own: pl.DataFrame) -> Element:
    """Growth of each rule at every cost."""
    rules = own.filter(portfolio=FOLLOWED)
    costs = rules["cost"].unique().sort().to_list()
    rows = [
        [str(rule), *(_share(of.filter(cost=cost)["cagr"].item()) for cost in costs)]
        for (rule,), of in rules.sort("rule").group_by("rule", maintain_order=True)
    ]
    return table(("Rule", *(f"{cost:g} bp" for cost in costs)), rows, "Growth a year at every cost")


def _out_of_sample(facts: Facts, out: pl.DataFrame) -> Iterator[Element]:
    """Scores by thresholds that each year's past chose: the chosen years alone, apart from all figures above."""
    for (rule,), of in out.sort("rule").group_by("rule", maintain_order=True):
        first = of.row(0, named=True)
        years = facts.years.filter(rule=rule).sort("year")
        yield element("h3", f"{rule}, its threshold chosen each year by the years before")
        yield element(
            "p",
            f"{first['first_session']} to {first['last_session']}, the chosen years alone: no session of a year, nor "
            "of the quarter before it, chose for it. Not to be compared with the figures above, which cover all years.",
            class_="about",
        )
        yield table(_COLUMNS, _rows(of), f"Backtest of {rule}, out of sample")
        yield _folded(
            f"Thresholds of {rule}",
            table(
                ("Year", "In the market from", "Sharpe ratio of the year"),
                [
                    [str(year), f"{threshold:g}", _number(sharpe)]
                    for year, threshold, sharpe in years.select("year", "threshold", "out_of_sample").iter_rows()
                ],
                f"Thresholds of {rule}, and what followed",
            ),
        )


def _folded(title: str, content: Element) -> Element:
    return element("details", element("summary", title), content)


def _share(figure: float | None) -> str:
    return "unknown" if figure is None else f"{figure:.1%}"


def _number(figure: float | None) -> str:
    return "unknown" if figure is None else f"{figure:.2f}"
