"""Write docs/indicators.md: every indicator, rule and weight as the code has it, and examples from docs/figures.json.

.venv/bin/python docs/make_indicators.py
.venv/bin/python docs/make_indicators.py --figures    # recomputes the examples; needs ../shared/market
"""

import argparse
import datetime as dt
import json
import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from breadthflow_pipelines.contracts.bars import bar_contract
from breadthflow_pipelines.contracts.verdict import judge
from breadthflow_pipelines.indicators import conventions, relative, score, series, technical, thrusts
from breadthflow_pipelines.indicators.breadth_catalogue import (
    CATALOGUE,
    FAMILIES,
    INDICATOR_COLUMNS,
    breadth_indicators,
)
from breadthflow_pipelines.indicators.counts import count_breadth, roster
from breadthflow_pipelines.indicators.definition import BRUTE_FORCE, Indicator
from breadthflow_pipelines.indicators.thrusts import Condition, Thrust
from breadthflow_pipelines.model.counts import COUNT_COLUMNS, ISSUES, VOLUMES
from breadthflow_pipelines.model.vocabulary import ALL
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.signals import calibration, conviction, rules, symbols
from breadthflow_pipelines.signals.rules import CALIBRATED, RULES, Rule
from breadthflow_pipelines.sources.exchange_breadth import read_published_counts
from breadthflow_pipelines.sources.protocol import BAR_SCHEMA
from breadthflow_pipelines.trust import count_guards

DOCS = Path(__file__).resolve().parent
PAGE, FIGURES = DOCS / "indicators.md", DOCS / "figures.json"
MARKET = DOCS.parent.parent / "shared" / "market"
PER_SYMBOL = (*technical.TECHNICAL, relative.RELATIVE_STRENGTH)
RELATIONS = {"above": ">", "below": "<", "at_or_above": ">=", "at_or_below": "<="}

UNIVERSE, INDEX, SYMBOL, SESSION = "sp500", "SPY", "IBM", dt.date(2015, 8, 24)  # the opening that failed
EXCHANGE, THRUST_SESSION = "NASDAQ", dt.date(1984, 8, 3)  # a thrust of Zweig's


# --- Examples ---


def figures(market: Path = MARKET) -> dict[str, Any]:
    """The examples: one session of constituents, one of published counts, one of a security. None: unknown."""
    bars, members = _real_bars(market)
    counts = _counted(bars, members)
    counted = counts.row(by_predicate=pl.col("session") == SESSION, named=True)
    return {
        "constituents": {
            "universe": UNIVERSE,
            "session": str(SESSION),
            "index": INDEX,
            "members": counted["members"],
            "priced": counted["priced"],
            "values": _values(breadth_indicators(counts), SESSION),
        },
        "published": {
            "exchange": EXCHANGE,
            "session": str(THRUST_SESSION),
            "values": _values(_published_indicators(market / "exchange_breadth"), THRUST_SESSION),
        },
        "symbol": {"symbol": SYMBOL, "session": str(SESSION), "values": _of_the_symbol(bars, members)},
    }


def _real_bars(market: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The bars until SESSION that keep the contract, and the members."""
    raw = pl.read_parquet(market / "sp500_bars.parquet").filter(pl.col("session") <= SESSION)
    listed = pl.read_csv(market / "sp500_membership.csv", try_parse_dates=True)
    names = pl.concat([raw["symbol"], listed["symbol"]]).unique().sort()
    ids = pl.DataFrame({"symbol": names, "security_id": pl.int_range(len(names), eager=True)})
    unadjusted = raw.join(ids, on="symbol").with_columns(close_adjusted=pl.lit(None))  # the vendor has no second close
    bars = unadjusted.select(*(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items()), "security_id")
    good = judge(bar_contract(exchange_calendar("XNYS")), bars).good.with_columns(pl.col("volume").cast(pl.Int64))
    return good, listed.join(ids, on="symbol").with_columns(sector=pl.lit(None, pl.String))


def _counted(bars: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    days = exchange_calendar("XNYS").frame().with_columns(counted=True)
    index = bars.filter(symbol=INDEX).select(universe=pl.lit(UNIVERSE), session="session", index_close="close")
    return count_breadth(bars, members, days, index)


def _of_the_symbol(bars: pl.DataFrame, members: pl.DataFrame) -> dict[str, float | None]:
    present = roster(members, pl.DataFrame({"session": [SESSION]})).select("universe", "session", "security_id")
    ids = bars.select("security_id", "session", "symbol")
    values = technical.technical_indicators(bars).join(ids, on=["security_id", "session"])
    standing = present.join(values, on=["session", "security_id"])
    standing = relative.relative_strength(standing, relative.median_returns(standing))
    one = standing.row(by_predicate=pl.col("symbol") == SYMBOL, named=True)
    return {entry.name: one[entry.name] for entry in PER_SYMBOL}


def _published_indicators(directory: Path) -> pl.DataFrame:
    counts = read_published_counts(directory, EXCHANGE, exchange_calendar("XNYS")).counts
    judged = count_guards.judge_published(counts.with_columns(exchange=pl.lit(EXCHANGE)))
    usable = judged.select(
        "session",
        *(pl.when("issues_usable").then(name).alias(name) for name in ISSUES),
        *(pl.when("volume_usable").then(pl.col(name) * pl.col("volume_unit")) for name in VOLUMES),
        universe="exchange",
        segment=pl.lit(ALL),
    )
    unknown = (pl.lit(None, pl.Int64).alias(name) for name in COUNT_COLUMNS if name not in usable.columns)
    return breadth_indicators(usable.with_columns(*unknown))


def _values(indicators: pl.DataFrame, session: dt.date) -> dict[str, float | None]:
    return indicators.filter(session=session).select(INDICATOR_COLUMNS).row(0, named=True)


# --- The page ---


def page(examples: dict[str, Any]) -> str:
    """The whole page, in Markdown."""
    events = [rule for rule in RULES.values() if rule.thrust and rule not in CALIBRATED.values()]
    constituents, told, symbol = (examples[kind]["values"] for kind in ("constituents", "published", "symbol"))
    breadth = {"S&P 500": constituents, EXCHANGE: told}
    parts = [
        _opening(examples, events),
        *(_family([module], module.INDICATORS, breadth) for module in FAMILIES),
        _thrusts(events),
        _score_and_conviction(),
        _family([technical, relative], PER_SYMBOL, {SYMBOL: symbol}),
        _symbol_signals(),
        _guards(),
        HOW_TO,
    ]
    return "\n\n".join(_wrapped(part) for part in parts) + "\n"


def _opening(examples: dict[str, Any], events: Sequence[Rule]) -> str:
    of_members = examples["constituents"]
    return f"""
# Indicators

<!-- Written by docs/make_indicators.py from the code. Change the code, then run that. -->

{len(CATALOGUE)} indicators of breadth, {len(PER_SYMBOL)} of single securities, {len(events)} rules of thrusts and
warnings, and what is made of them: each with its formula, its numbers, its source and an example from real data.
An indicator of breadth is one formula over the counts of one universe and segment in session order. All are of
**convention {conventions.CONVENTION}**, which is stored with every row and raised when a definition changes; what it
stands for is in {_link(conventions)}.

- **From constituents or published.** Counts are made from the bars of a universe's members, each held against its own
  past ([counts.py](../breadthflow_pipelines/indicators/counts.py),
  [price.py](../breadthflow_pipelines/indicators/price.py)), or are those that an exchange publishes. The formulas are
  the same. Published counts know no prices: what needs points, dollars, averages or highs of 20 sessions is null there.
- **Null means unknown, never zero.** It enters no window and no recursion and leaves the state of both alone.
  What would divide by zero is null, too.
- **Burn-in** counts the observations before the first value. A trend starts at its first value and is published once
  that weighs at most {series.PUBLISHABLE:g}; the row is `settled` once the slowest one's weighs at most
  {series.SETTLED:f}. A member whose own bars do not reach back is left out of the denominator, not waited for.
  Coppock's curve waits for months, as its formula says.
- **Letters.** A, D, U: issues that advanced, declined, stayed. UV, DV, XV: their volume, in shares. NH, NL: new highs
  and lows, strict, of 252 bars (52 weeks) where nothing else is said. T10, T5: 10 % and 5 % trend. H, L, C: high, low
  and close of a bar, C' the close of the bar before, HH and LL the highest high and lowest low of a window. S, Z, E in
  their own formula: the value before.
- **Examples.** The S&P 500 on {of_members["session"]}, when nearly everything fell: {of_members["priced"]} of
  {of_members["members"]} members have bars, {of_members["index"]} is the index, and prices are adjusted for splits and
  for dividends, so that new highs are those of total return. {EXCHANGE} as published on
  {examples["published"]["session"]}, the day of a thrust of Zweig's. A single security is
  {examples["symbol"]["symbol"]} on {examples["symbol"]["session"]}, of the same bars. "-" is unknown there: these
  bars have no unadjusted close beside the adjusted one; of {EXCHANGE} there are no new highs and lows before 2005 and
  no index.
- **Verified** by a figure that somebody else published, complete with what goes in, which a test reproduces. *Twin*: no
  such figure was found, and the formula is held against a second implementation in plain Python
  ([twins.py](../breadthflow_pipelines_tests/indicators/twins.py)) on random histories and on {EXCHANGE}'s sessions. See
  [published-figures](decisions/published-figures.md); for the basis of prices and volumes
  [price-basis](decisions/price-basis.md).

{_contents()}
"""


def _contents() -> str:
    titles = (
        *(module.FAMILY for module in FAMILIES),
        *("Thrusts", "Warnings", "Calibrated rules", "Breadth score", "Conviction", technical.FAMILY),
        *("Signals per symbol", "Guards on published counts", "How to add an indicator", "How to add a rule"),
    )
    return ", ".join(f"[{title}](#{title.lower().replace(' ', '-')})" for title in titles) + "."


def _family(
    modules: Sequence[ModuleType], entries: Sequence[Indicator], examples: dict[str, dict[str, float | None]]
) -> str:
    first = _table(
        ("indicator", "formula", "units", *examples),
        (
            (f"`{e.name}`", e.formula, e.units, *(_number(values.get(e.name)) for values in examples.values()))
            for e in entries
        ),
        right=len(examples),
    )
    second = _table(
        ("indicator", "parameters", "seed", "burn-in", "bounds", "source", "verified by"),
        (
            (
                f"`{e.name}`",
                _parameters(e.parameters),
                "-" if e.seed == "none" else e.seed,
                str(e.burn_in),
                _bounds(e.bounds),
                e.source,
                "twin" if e.verified == BRUTE_FORCE else e.verified,
            )
            for e in entries
        ),
    )
    about = " ".join(_about(module) for module in modules)
    return f"## {modules[0].FAMILY}\n\n{about}\n\n{first}\n\n{second}"


def _thrusts(events: Sequence[Rule]) -> str:
    warnings = [rule for rule in events if rule.dimension is None]
    calibrated = ", ".join(f"`{rule.name}`" for rule in CALIBRATED.values())
    return f"""
## Thrusts

{_about(rules)} The machine that runs them is in {_link(thrusts)}, why it is one is in [thrusts](decisions/thrusts.md).

A rule fires where all its conditions hold; one that is armed needs its arming conditions on a session before.
Parameters: `sessions` or `days` is the longest way from there (calendar days), `times` the arming sessions needed,
`quiet` the sessions before that must not have met the conditions (1 is a crossing), `merge` the sessions within which a
further event is a repeat; the rest shapes the value. On a universe other than the one that the levels were published
for, a signal says `calibrated = false` and its [confidence](decisions/confidence.md) is halved.

{_rules([rule for rule in events if rule.dimension])}

## Warnings

{_rules(warnings)}

## Calibrated rules

{calibrated}: the rules above whose source counts their events, with levels stretched again each year, from the past
until a year before, so that another universe has no more events than the published rate ({_link(calibration)}).
"""


def _rules(these: Sequence[Rule]) -> str:
    first = _table(
        ("rule", "what it says", "levels", "action"),
        ((f"`{rule.name}`", rule.about, _levels(rule.thrust), rule.action) for rule in these if rule.thrust),
    )
    second = _table(
        ("rule", "source", "public by", "published for", "a decade", "parameters", "dimension"),
        (
            (
                f"`{rule.name}`",
                rule.source,
                _date(rule.published),
                ", ".join(rule.published_for) or "-",
                f"{rule.published_rate:g}" if rule.published_rate else "-",
                _parameters(rule.parameters),
                rule.dimension or "-",
            )
            for rule in these
        ),
    )
    return f"{first}\n\n{second}"


def _levels(thrust: Thrust) -> str:
    def said(conditions: Iterable[Condition]) -> str:
        return " and ".join(
            f"`{c.column}` {RELATIONS[c.relation]} {c.level:g}{' (or unknown)' * c.or_unknown}" for c in conditions
        )

    return said(thrust.fires) + (f"; armed by {said(thrust.arms)}" if thrust.arms else "")


def _score_and_conviction() -> str:
    of_score, of_conviction = RULES["breadth_score"], RULES["conviction"]
    components = _table(
        ("component", "weight", "what it is"),
        ((f"`{name}`", f"{part.weight:.2f}", part.about) for name, part in score.COMPONENTS.items()),
    )
    return f"""
## Breadth score

`breadth_score`: {of_score.about} Each component is a z-score against its own {score.WINDOW} observations before (at
least {score.MIN_HISTORY}), winsorized at {score.WINSOR:g}; score = {score.NEUTRAL:g} + {score.SPAN:g} * weighted mean /
{score.WINSOR:g}, of at least {score.MIN_WEIGHT * 100:g} % of the weights ({_link(score)}). {of_score.source}.

{components}

## Conviction

`conviction`: {of_conviction.about} At least {conviction.LEAST} dimensions must be computable ({_link(conviction)}).
{of_conviction.source}.
"""


def _symbol_signals() -> str:
    votes = _table(
        ("rule", "weight", "what it says", "levels", "source"),
        (
            (f"`{rule.name}`", f"{rule.weight:.2f}", rule.about, _levels_of(rule), rule.source)
            for rule in symbols.SYMBOL_RULES
        ),
    )
    return f"""
## Signals per symbol

{_about(symbols)} Each rule votes from -1 (sell) to 1 (buy). The strength is the weighted mean of the votes, of at least
{symbols.MIN_WEIGHT * 100:g} % of the weights: buy from {symbols.ACT_AT:g} on, sell from -{symbols.ACT_AT:g} down, else
hold. A buy is held back while the universe's breadth score is {rules.SELL_AT:g} or below, a sell while it is
{rules.BUY_AT:g} or above. `breadthflow explain sp500:AAPL:2024-03-01` shows the votes of one signal, and what they
looked at.

{votes}
"""


def _levels_of(rule: symbols.SymbolRule) -> str:
    return ", ".join(f"{name} {level:g}" for name, level in rule.levels.items())


def _guards() -> str:
    named = dict.fromkeys((*count_guards.AGAINST_ISSUES, *count_guards.AGAINST_VOLUMES))
    speaks = (("issues", count_guards.AGAINST_ISSUES), ("volumes", count_guards.AGAINST_VOLUMES))
    guards = _table(
        ("doubted", "not used then"),
        ((name, " and ".join(what for what, against in speaks if name in against)) for name in named),
    )
    return f"""
## Guards on published counts

A row of published counts is judged by itself and the rows before it. What is doubted is kept, shown, and left out as
null; nothing is mended ({_link(count_guards)}). The limits and what they find are in
[published-counts](decisions/published-counts.md).

{guards}

A row whose total recurs within a year, and is no half or double of the usual one, counts another list of issues. Its A,
D, U, NH and NL are multiplied by usual total / own total, `issue_scale`, before any formula sees them: what is a share
of one session stays what it was, what is in issues is in issues of the usual list.
"""


HOW_TO = """
## How to add an indicator

1. Write one function and one `Indicator` entry in its family's file, `indicators/` with `issues.py`, `mcclellan.py`,
   `volume.py`, `extremes.py`, `participation.py` or `omens.py`; of single securities `technical.py`. A family of its
   own is a new file with `FAMILY` and `INDICATORS`, and its name in `FAMILIES` of
   `breadth_catalogue.py`.
2. Write its twin in `breadthflow_pipelines_tests/indicators/twins.py`, from the published formula and not from yours;
   of single securities, compare it in `test_technical.py`. A complete published figure goes into `test_figures.py`.
3. Raise `CONVENTION` only when a definition that exists changes.
4. Run `python docs/make_indicators.py`, with `--figures` where `../shared/market` is there.

The store's column with its range, the contract's bounds, the lineage, `breadthflow indicators` and this page follow by
themselves ([formula_columns.py](../breadthflow_pipelines/warehouse/formula_columns.py)). A new count is
an entry in `model/counts.py`, its expression in `indicators/counts.py`, and a migration ([model](decisions/model.md)).

## How to add a rule

Add an `_event` to its dimension's tuple in [rules.py](../breadthflow_pipelines/signals/rules.py): a `Thrust` with its
levels, what it says, who published it, when, for which universe, and how often it came if the source counts. Signals,
evidence, conviction and this page follow by themselves; test one event of it by hand in
`breadthflow_pipelines_tests/signals/test_rules.py`.
"""


# --- Words ---


def _wrapped(text: str) -> str:
    """Paragraphs and lists filled to the width of a line, all else as it is."""

    def filled(block: str) -> str:
        if block.startswith(("|", "#", "<")):
            return block
        items = re.split(r"\n(?=- |\d\. )", block)
        indents = ["  " if item[:2] == "- " else "   " if item[1:3] == ". " else "" for item in items]
        return "\n".join(
            textwrap.fill(" ".join(item.split()), 120, subsequent_indent=indent, break_on_hyphens=False)
            for item, indent in zip(items, indents, strict=True)
        )

    return "\n\n".join(filled(block) for block in text.strip().split("\n\n"))


def _link(module: ModuleType) -> str:
    path = Path(module.__file__ or "").relative_to(DOCS.parent)
    return f"[{'/'.join(path.parts[1:])}](../{path.as_posix()})"


def _about(module: ModuleType) -> str:
    """Where a module is, and what it says of itself."""
    return f"{_link(module)}: {(module.__doc__ or '').splitlines()[0]}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: int = 0) -> str:
    marks = [*["---"] * (len(head) - right), *["---:"] * right]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, marks, *cells))


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) < 1:
        return f"{value:.4g}"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1e5 else f"{value:,.2f}"


def _parameters(parameters: Any) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in parameters.items()) or "-"


def _bounds(bounds: tuple[float | None, float | None]) -> str:
    low, high = bounds
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return "-" if low is None else f"from {low:g}"


def _date(day: dt.date | None) -> str:
    if day is None:
        return "-"
    return str(day.year) if (day.month, day.day) == (12, 31) else str(day)


def main() -> None:
    """Write the page, after the figures where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", action="store_true", help="recompute the examples from ../shared/market")
    if parser.parse_args().figures:
        FIGURES.write_text(json.dumps(figures(), indent=2) + "\n")
    PAGE.write_text(page(json.loads(FIGURES.read_text())))


if __name__ == "__main__":
    main()
