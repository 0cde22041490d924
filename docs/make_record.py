"""Write docs/record.md: how good every rule has been on real data, from docs/record.csv and docs/symbol_record.csv.

.venv/bin/python docs/make_record.py
.venv/bin/python docs/make_record.py --figures    # first reads both again from the store that the settings name

The store holds ../shared/market: NASDAQ's published counts with its index beside them, by breadthflow import-breadth,
and the S&P 500 with sp500=SPY as its index, by breadthflow backfill --from 2006-01-03 --to 2017-11-10.
"""

import argparse
import csv
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from breadthflow_pipelines.evaluation.family import FAMILY, SYMBOL_FAMILY
from breadthflow_pipelines.evaluation.significance import LEVEL
from breadthflow_pipelines.model.vocabulary import (
    BUY,
    BY_ALL,
    BY_CONFIDENCE,
    BY_STRENGTH,
    CHANCE,
    COMBINED,
    HOLD,
    HORIZONS,
    NOT_JUDGED,
    SELL,
    SUGGESTIVE,
    SURVIVES,
    WHOLE,
)
from breadthflow_pipelines.warehouse.accuracy_listing import accuracy
from breadthflow_pipelines.warehouse.database import Database

DOCS = Path(__file__).resolve().parent
PAGE, FIGURES, SYMBOL_FIGURES = DOCS / "record.md", DOCS / "record.csv", DOCS / "symbol_record.csv"
UNIVERSES = {"sp500": "S&P 500 members", "NASDAQ": "NASDAQ's published counts"}
ERAS = (WHOLE, "since_publication")
QUARTER = 63  # sessions, the horizon of the records beside signals
LEAST = 100  # signals of a tenth that is listed
DIGITS = 6  # kept of each figure, which is more than any of them deserves

COLUMNS = (
    *("universe", "rule", "action", "horizon", "era", "verdict", "reason", "events", "episodes", "effective_n"),
    *("eligible", "left_out", "open", "first_session", "last_session"),
    *("hit_rate", "base_rate", "lift_low", "lift_high", "detectable", "mean", "base_mean"),
    *("p_rotation", "p_matched", "p_family", "p_holm", "family", "family_members", "basis"),
)
SYMBOL_COLUMNS = (
    *("universe", "horizon", "rule", "action", "grouped_by", "bin", "signals", "sessions", "hit_rate", "base_rate"),
    *("lift", "lift_error", "relative", "relative_error", "confidence", "brier", "brier_base", "skill"),
    *("windows", "p", "p_family", "verdict", "reason"),
)
_WORDS = ("universe", "rule", "action", "era", "verdict", "reason", "family", "basis", "grouped_by")
Row = dict[str, Any]


def read(figures: Path = FIGURES) -> list[Row]:
    """The rows of record.csv, or of symbol_record.csv: numbers as numbers, null where empty."""
    with figures.open(newline="") as lines:
        return [{name: _value(name, text) for name, text in row.items()} for row in csv.DictReader(lines)]


def as_kept(rows: Iterable[Row], columns: Sequence[str] = COLUMNS) -> list[dict[str, str]]:
    """Rows of the store as record.csv, or symbol_record.csv, has them."""
    return [{name: _text(row[name]) for name in columns} for row in rows]


def _value(name: str, text: str) -> Any:
    if text == "" or name in _WORDS:
        return text or None
    if name.endswith("_session"):
        return text
    return float(text) if "." in text or "e" in text else int(text)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.{DIGITS}f}"
    return "" if value is None else str(value)


def page(rows: Sequence[Row], symbols: Sequence[Row]) -> str:
    """The whole page, in Markdown."""
    whole = [row for row in rows if row["era"] == WHOLE]
    parts = [
        _opening(whole),
        _base_rates(whole),
        _promises(whole),
        *(_table_of(universe, whole) for universe in UNIVERSES),
        _best(whole, rows),
        _reading(whole),
        _members(symbols),
        LIMITS,
    ]
    return "\n\n".join(_wrapped(part) for part in parts) + "\n"


def _of(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def _opening(whole: Sequence[Row]) -> str:
    judged = [row for row in whole if row["verdict"] != NOT_JUDGED]
    counted = Counter(row["verdict"] for row in whole)
    by_chance = LEVEL * len(judged)
    spans = ", ".join(f"{UNIVERSES[name]} {_span(_of(whole, universe=name))}" for name in UNIVERSES)
    return f"""
# The record

<!-- Written by docs/make_record.py from docs/record.csv and docs/symbol_record.csv. -->

How often each rule has been right, beside how often any session would have been. Judged are {spans}, at
{", ".join(map(str, HORIZONS))} sessions, as family `{FAMILY.name}`, which was registered before it was judged.
[decisions/evaluation.md](decisions/evaluation.md) says how; `breadthflow accuracy` prints the same of your own store.

**{_number(counted[SURVIVES])} of {len(whole)} records survives** the correction for how many were tried at once.
{counted[SUGGESTIVE]} are suggestive, {counted[CHANCE]} cannot be told from chance, {counted[NOT_JUDGED]} cannot be
judged at all. Of
{len(judged)} that could be judged, about {by_chance:.0f} would look suggestive if no rule meant anything. So none of
these rules is proven by this data, and none is refuted by it: most have spoken too seldom to tell.
"""


def _span(rows: Sequence[Row]) -> str:
    first = min(row["first_session"] for row in rows if row["first_session"])
    last = max(row["last_session"] for row in rows if row["last_session"])
    return f"from {first} to {last}"


def _base_rates(whole: Sequence[Row]) -> str:
    rows = []
    for universe, name in UNIVERSES.items():
        for horizon in HORIZONS:
            (score,) = _of(whole, universe=universe, rule="breadth_score", action=BUY, horizon=horizon)
            (fell,) = _of(whole, universe=universe, rule="breadth_score", action=SELL, horizon=horizon)
            told = (_percent(score["base_rate"]), _percent(fell["base_rate"]), _percent(score["base_mean"], 1))
            rows.append((name, str(horizon), *told))
    return f"""
## What any session would have won

A buy is right when the universe is higher after the horizon. Markets rise on most days, so buying on any session at all
would have been right as often as this. A sell is right when the universe falls behind its own mean.

{_table(("judged", "sessions", "any buy right", "any sell right", "mean return"), rows)}
"""


def _promises(whole: Sequence[Row]) -> str:
    buys = [row for row in whole if row["hit_rate"] is not None]
    high = [row for row in buys if row["hit_rate"] >= 0.85]
    words = Counter(row["verdict"] for row in high)
    year = {name: _of(whole, universe=name, rule="breadth_score", action=BUY, horizon=252)[0] for name in UNIVERSES}
    bases = " and ".join(f"{_percent(row['base_rate'])} ({UNIVERSES[name]})" for name, row in year.items())
    few = [row for row in high if row["events"] < 10]
    return f"""
## What 85 % is worth

Systems of this kind are sold with "85 % accuracy". A hit rate without its base rate says nothing: over a year, buying
on any session was right {bases}. {len(high)} of the {len(buys)} records with a hit rate here reach 85 %. Of those,
{words[NOT_JUDGED]} cannot be judged, {words[CHANCE]} cannot be told from chance, {words[SUGGESTIVE]} are suggestive and
{_number(words[SURVIVES]).lower()} survives; {len(few)} rest on fewer than ten events. Where 70 % of all sessions are
right, ten events that do not overlap must all be right before that is less likely than one in twenty.
"""


def _table_of(universe: str, whole: Sequence[Row]) -> str:
    rows = []
    for rule, action in dict.fromkeys((row["rule"], row["action"]) for row in whole):
        of_rule = _of(whole, universe=universe, rule=rule, action=action)
        if not of_rule:
            continue
        cells = [_cell(_of(of_rule, horizon=horizon)[0]) for horizon in HORIZONS]
        rows.append((f"`{rule}`", action, str(max(row["events"] for row in of_rule)), *cells))
    header = ("rule", "side", "events", *(f"{horizon} sessions" for horizon in HORIZONS))
    return f"""
## {UNIVERSES[universe]}

The hit rate, and after the slash the base rate of the sessions on which the rule could speak, in per cent. **Bold** is
suggestive or better, plain cannot be told from chance, *(brackets)* cannot be judged. "-": it has no claim or no event.

{_table(header, rows)}
"""


def _cell(row: Row) -> str:
    if row["hit_rate"] is None:
        return "-"
    text = f"{100 * row['hit_rate']:.0f} / {100 * row['base_rate']:.0f}"
    if row["verdict"] == NOT_JUDGED:
        return f"*({text})*"
    return f"**{text}**" if row["verdict"] in (SUGGESTIVE, SURVIVES) else text


def _best(whole: Sequence[Row], rows: Sequence[Row]) -> str:
    found = sorted(
        (row for row in whole if row["verdict"] in (SUGGESTIVE, SURVIVES)), key=lambda row: row["p_family"] or 1.0
    )
    lines = []
    for row in found:
        key = {name: row[name] for name in ("universe", "rule", "action", "horizon")}
        later = _of(rows, **key, era="since_publication")
        since = "-"
        if later:
            told = later[0]["hit_rate"]
            since = f"{_percent(told)} of {later[0]['events']}" if told is not None else "no event"
        lines.append(
            (
                f"`{row['rule']}`",
                *(row["universe"], row["action"], str(row["horizon"]), str(row["events"]), str(row["effective_n"])),
                f"{_percent(row['hit_rate'])} / {_percent(row['base_rate'])}",
                f"{100 * row['lift_low']:+.0f} to {100 * row['lift_high']:+.0f}",
                *(f"{row[name]:.3f}" for name in ("p_rotation", "p_matched", "p_family")),
                since,
            )
        )
    header = ("rule", "universe", "side", "sessions", "events", "apart", "hit / base", "lift, 95 %")
    return f"""
## The records least like chance

*Apart*: windows that do not overlap. *Rotation*: share of all rotations of the events with as high a hit rate.
*Matched*: the same against sessions with the same drawdown, because most of these rules follow declines.
*Family*: as rotation, for all that was tried at once; {SURVIVES} needs at most 0.05 there.
*Since*: what the rule did after its numbers were published, where somebody published them.

{_table((*header, "rotation", "matched", "family", "since"), lines)}
"""


def _reading(whole: Sequence[Row]) -> str:
    found = [row for row in whole if row["verdict"] in (SUGGESTIVE, SURVIVES)]
    least = min(row["p_family"] for row in found)
    worse = [row for row in whole if row["verdict"] == CHANCE and row["hit_rate"] < row["base_rate"]]
    told = [row for row in whole if row["verdict"] == CHANCE]
    (zweig,) = _of(whole, universe="sp500", rule="zweig_breadth_thrust", action=BUY, horizon=252)
    (classic,) = _of(whole, universe="NASDAQ", rule="zweig_breadth_thrust", action=BUY, horizon=252)
    return f"""
## How to read it

- The lowest p-value that holds for the family is {least:.2f}. With {found[0]["family_members"]} records tried, the best
  of many noises looks like the best of these rules.
- {len(worse)} of the {len(told)} records that cannot be told from chance lie below their base rate. They are as little
  proof that a rule harms as the others are that it helps.
- Zweig's thrust, the best known of them, fired {classic["events"]} times in NASDAQ's counts with a year to follow,
  which
  is too seldom to judge. On S&P 500 members it fired {zweig["events"]} times: its threshold is easier to reach there
  and was not published for them. A year later {_percent(zweig["hit_rate"])} were higher, of all sessions
  {_percent(zweig["base_rate"])}.
- Hit rates of neighbouring horizons, and of rules that look at the same counts, are not independent findings.
"""


def _members(symbols: Sequence[Row]) -> str:
    claims = [row for row in symbols if row["grouped_by"] == BY_ALL and row["action"] != HOLD]
    counted = Counter(row["verdict"] for row in claims)
    told = _of(symbols, rule=COMBINED, horizon=QUARTER)
    rules = list(dict.fromkeys((row["rule"], row["action"]) for row in claims))
    cells = [
        (
            f"`{rule}`",
            action,
            f"{_of(claims, rule=rule, action=action, horizon=QUARTER)[0]['signals']:,}",
            *(_share_cell(_of(claims, rule=rule, action=action, horizon=horizon)[0]) for horizon in HORIZONS),
        )
        for rule, action in sorted(rules, key=lambda claim: (claim[0] != COMBINED, claim))
    ]
    header = ("rule", "side", "signals", *(f"{horizon} sessions" for horizon in HORIZONS))
    return f"""
## Single members

What the technical rules say of each S&P 500 member on each session, 1.2 million signals (`breadthflow calibration`).
A buy is right when the member beats the mean of all members over the next sessions, a sell when it trails it. The first
number is how often that was so, the second how often it was so of any members of the same sessions, in per cent.
Errors have sessions as clusters, and family `{SYMBOL_FAMILY.name}` was registered before it was judged.

**{_number(counted[SURVIVES])} of {len(claims)} records survives**,
{_number(counted[SUGGESTIVE]).lower()} is suggestive: {counted[CHANCE]} cannot be told from chance,
{counted[NOT_JUDGED]} cannot be judged.

{_table(header, cells)}

Does confidence mean anything? How often signals of each tenth of confidence were right over {QUARTER} sessions.
Skill is 1 less the Brier score over that of always saying the base rate: below 0, whoever took confidence for a
probability was worse off than somebody who knew the base rate alone.

{_confidence(told)}

Does strength? The mean return beside the universe over {QUARTER} sessions, and its error, by tenths of each session's
members, the weakest first. If strength told anything, the numbers would rise from left to right.

{_strength(told)}
"""


def _share_cell(row: Row) -> str:
    text = f"{100 * row['hit_rate']:.1f} / {100 * row['base_rate']:.1f}"
    return f"**{text}**" if row["verdict"] in (SUGGESTIVE, SURVIVES) else text


def _confidence(told: Sequence[Row]) -> str:
    cells = [
        (
            row["action"],
            "all" if row["grouped_by"] == BY_ALL else f"{row['bin'] / 10:.1f} to {(row['bin'] + 1) / 10:.1f}",
            f"{row['signals']:,}",
            *(_percent(row[name], 1) for name in ("confidence", "hit_rate", "base_rate")),
            f"{row['skill']:+.3f}",
        )
        for action in (BUY, SELL)
        for row in (*_of(told, action=action, grouped_by=BY_ALL), *_of(told, action=action, grouped_by=BY_CONFIDENCE))
        if row["signals"] >= LEAST
    ]
    return _table(("side", "confidence", "signals", "mean of it", "right", "base rate", "skill"), cells)


def _strength(told: Sequence[Row]) -> str:
    tenths = sorted(_of(told, grouped_by=BY_STRENGTH), key=lambda row: row["bin"])
    header = ("tenth", *(str(row["bin"]) for row in tenths))
    means = ("return, %", *(f"{100 * row['relative']:+.2f}" for row in tenths))
    return _table(header, [means, ("error", *(f"{100 * row['relative_error']:.2f}" for row in tenths))])


LIMITS = """
## What this cannot say

- **S&P 500 members** are judged by the equal-weight return of those that the data has. The vendor dropped most of those
  that were delisted: 603 of 759 members have bars. What failed is missing, so returns are too high, and a buy that
  follows a decline may be flattered by it. The prices have dividends in them.
- **NASDAQ** is judged by its Composite, a price index without dividends, weighted by size, while the counts weigh every
  issue alike. Its counts and volumes have faults that guards leave out, and a break where fractions ended in 2001.
- Both are one country and one time. Rules were published with numbers that fit the years before; what they did since
  stands above where there is any.
- Nothing here has costs in it; `breadthflow backtest` has.
"""


def _number(count: int) -> str:
    return "None" if count == 0 else str(count)


def _percent(share: float | None, places: int = 0) -> str:
    return "-" if share is None else f"{100 * share:.{places}f} %"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _wrapped(part: str) -> str:
    """Paragraphs and points wrapped at 120 columns, tables and headings as they are."""
    blocks = []
    for block in part.strip().split("\n\n"):
        if block.startswith(("|", "#", "<!--")):
            blocks.append(block)
        elif block.startswith("- "):
            points = [" ".join(point.split()) for point in ("\n" + block).split("\n- ")[1:]]
            blocks.append("\n".join(textwrap.fill(f"- {point}", 120, subsequent_indent="  ") for point in points))
        else:
            blocks.append(textwrap.fill(" ".join(block.split()), 120))
    return "\n\n".join(blocks)


def _fetch() -> None:
    from breadthflow_pipelines.settings import get_settings
    from breadthflow_pipelines.warehouse.database import open_database

    database = open_database(get_settings())
    found = (row for universe in UNIVERSES for row in accuracy(database, universe, None, None))
    rows = [row for row in found if row["era"] in ERAS]
    with FIGURES.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(as_kept(rows))
    with SYMBOL_FIGURES.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, SYMBOL_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(as_kept(_of_members(database), SYMBOL_COLUMNS))


def _of_members(database: Database) -> list[Row]:
    from breadthflow_pipelines.evaluation.calibration import calibration
    from breadthflow_pipelines.evaluation.symbol_record import judged
    from breadthflow_pipelines.warehouse.calibration_store import sums

    return judged(calibration(sums(database, "sp500"))).to_dicts()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", action="store_true", help="read record.csv again from the store")
    if parser.parse_args().figures:
        _fetch()
    PAGE.write_text(page(read(), read(SYMBOL_FIGURES)))
