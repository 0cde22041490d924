"""docs/indicators.md is what the code says, complete and in order, and its examples are what real data gives."""

import json
import math
import re
from pathlib import Path
from types import ModuleType

import pytest

from breadthflow_pipelines.indicators import extremes, issues, mcclellan, omens, participation, relative, volume
from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.indicators.score import COMPONENTS
from breadthflow_pipelines.indicators.technical import TECHNICAL_COLUMNS
from breadthflow_pipelines.signals.rules import CALIBRATED, RULES
from breadthflow_pipelines.signals.symbols import SYMBOL_RULES
from breadthflow_pipelines_tests.scripts import script

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "indicators.md").read_text()
FIGURES = json.loads((ROOT / "docs" / "figures.json").read_text())
MARKET = ROOT.parent / "shared" / "market"
PER_SYMBOL = [*TECHNICAL_COLUMNS, "relative_strength"]
EVENTS = [name for name, rule in RULES.items() if rule.thrust and not name.endswith("_calibrated")]

# What the examples cannot tell: these bars have one close alone; an exchange publishes no prices, and until 2005
# NASDAQ's files have no new highs and lows.
UNTOLD = {
    "constituents": {"net_new_highs_total_return"},
    "published": {
        *(entry.name for entry in (*extremes.INDICATORS, *participation.INDICATORS)),
        *("up_dollar_share", "points_share", "day_90", "day_80", "index_trend_50", "coppock"),
    },
    "symbol": set(),
}


@pytest.fixture(scope="module")
def make_indicators() -> ModuleType:
    return script("make_indicators")


def section(title: str) -> str:
    """From a heading to the next one."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def tables(title: str) -> list[list[str]]:
    """The names in the first column of each table of a section."""
    found = re.findall(r"(?:^\|.*\n?)+", section(title), re.MULTILINE)
    return [re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) for table in found]


def test_the_page_is_what_the_code_says(make_indicators: ModuleType) -> None:
    said = make_indicators.page(FIGURES)
    assert said == PAGE, "docs/indicators.md is stale: run .venv/bin/python docs/make_indicators.py"


@pytest.mark.parametrize("family", [issues, mcclellan, volume, extremes, participation, omens])
def test_each_family_has_its_indicators_twice_and_a_link_to_its_formulas(family: ModuleType) -> None:
    names = [entry.name for entry in family.INDICATORS]
    assert tables(family.FAMILY) == [names, names]
    assert f"(../breadthflow_pipelines/indicators/{Path(family.__file__ or '').name})" in section(family.FAMILY)


def test_every_other_section_has_its_rules_and_weights() -> None:
    thrusts = [name for name in EVENTS if RULES[name].dimension]
    warnings = [name for name in EVENTS if not RULES[name].dimension]
    components, votes = list(COMPONENTS), [rule.name for rule in SYMBOL_RULES]
    assert tables("Thrusts") == [thrusts, thrusts]
    assert tables("Warnings") == [warnings, warnings]
    assert re.findall(r"`(\w+_calibrated)`", section("Calibrated rules")) == [rule.name for rule in CALIBRATED.values()]
    assert tables("Breadth score") == [components]
    assert tables("Per symbol") == [PER_SYMBOL, PER_SYMBOL]
    assert tables("Signals per symbol") == [votes]
    named = {name for title in ("Breadth score", "Conviction") for name in RULES if f"`{name}`: " in section(title)}
    assert {*thrusts, *warnings, *named} | {rule.name for rule in CALIBRATED.values()} == set(RULES)


def test_every_cell_is_in_its_column() -> None:
    for table in re.findall(r"(?:^\|.*\n?)+", PAGE, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table


def test_links_within_the_page_lead_to_headings() -> None:
    headings = {title.lower().replace(" ", "-") for title in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) == headings


@pytest.mark.parametrize(
    ("kind", "names"), [("constituents", list(CATALOGUE)), ("published", list(CATALOGUE)), ("symbol", PER_SYMBOL)]
)
def test_examples_are_of_indicators_and_numbers_unless_they_cannot_be_told(kind: str, names: list[str]) -> None:
    values = FIGURES[kind]["values"]
    assert set(values) <= set(names)  # one that is new may be missing: its example needs the real data
    assert {name for name, value in values.items() if value is None} == UNTOLD[kind]
    assert all(math.isfinite(value) for value in values.values() if value is not None)


def test_examples_agree_with_what_was_counted_apart_from_the_code() -> None:
    sp500, nasdaq = FIGURES["constituents"], FIGURES["published"]["values"]
    # 2015-08-24 by pandas: see e2e/test_market_data.py. 1984-08-03 from NASDAQ's files: 1,665 up, 300 down of 4,157.
    assert (sp500["members"], sp500["priced"]) == (500, 457)
    assert sp500["values"]["net_advances"] == 2 - 455
    assert sp500["values"]["ad_ratio"] == 2 / 455
    assert (nasdaq["net_advances"], nasdaq["ad_ratio"]) == (1665 - 300, 1665 / 300)
    assert nasdaq["ad_percent"] == pytest.approx(100 * 1365 / 4157)


@pytest.mark.market_data
@pytest.mark.slow
@pytest.mark.skipif(not MARKET.is_dir(), reason="../shared/market is missing")
def test_examples_are_what_the_real_data_gives(make_indicators: ModuleType) -> None:
    assert relative.RELATIVE_STRENGTH.name == PER_SYMBOL[-1]
    found = make_indicators.figures(MARKET)
    hint = "run .venv/bin/python docs/make_indicators.py --figures"
    assert list(found) == list(FIGURES), hint
    for kind, example in found.items():
        values, kept = example.pop("values"), FIGURES[kind]["values"]
        assert list(values) == list(kept), hint
        for name, value in values.items():
            same = value is kept[name] or value == pytest.approx(kept[name], rel=1e-9, abs=1e-9)
            assert same, f"{name} is {value}, not {kept[name]}: {hint}"
        assert example == {name: told for name, told in FIGURES[kind].items() if name != "values"}, hint
