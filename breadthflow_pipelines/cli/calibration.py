"""The command that says how good symbol signals have been: beside other members, by confidence and by strength."""

from typing import Annotated, Any

import typer

from breadthflow_pipelines.cli.app import app
from breadthflow_pipelines.cli.display import err, out, print_filled, say_held, titled, with_reason, write_rows
from breadthflow_pipelines.cli.options import Format, Shape
from breadthflow_pipelines.cli.store import existing_store
from breadthflow_pipelines.model.vocabulary import BY_ALL, BY_CONFIDENCE, BY_STRENGTH, COMBINED, HOLD, RECORD_HORIZON
from breadthflow_pipelines.signals.asked import check_horizon
from breadthflow_pipelines.warehouse.accuracy_listing import symbol_accuracy

_RULES = (
    "rule",
    "action",
    "horizon",
    "signals",
    "hit_rate",
    "base_rate",
    "lift",
    "relative",
    "p",
    "p_family",
    "verdict",
)
_CONFIDENCE = ("action", "from", "signals", "confidence", "hit_rate", "base_rate", "lift", "relative", "brier", "skill")
_STRENGTH = ("tenth", "signals", "hit_rate", "base_rate", "lift", "relative", "relative_error")


@app.command()
def calibration(
    universe: Annotated[str, typer.Option(help="Name of a universe with members.")],
    rule: Annotated[str | None, typer.Option(help="combined, or one of the technical rules; all without it.")] = None,
    horizon: Annotated[int | None, typer.Option(help="Sessions from the entry: 5, 21, 63, 126 or 252.")] = None,
    shape: Shape = Format.TABLE,
) -> None:
    """Print how often symbol signals beat other members, by rule, by confidence and by strength, and the verdict.

    Tables show 63 sessions unless a horizon is named; csv and json have everything.

    Example: breadthflow calibration --universe demo --horizon 21
    """
    check_horizon(horizon)
    database = existing_store()
    shown = horizon or (RECORD_HORIZON if shape is Format.TABLE else None)
    rows = symbol_accuracy(database, universe, rule, shown)
    title = titled(f"Symbol signals of {universe}", [universe], database)
    if shape is not Format.TABLE:
        write_rows(rows, list(rows[0]) if rows else [], (), shape, title)
    elif rows:
        _show(title, rows)
    else:
        out.print(f"{title}: no window of {shown} sessions has closed yet.", markup=False)
    say_held(database, universe, "symbol_calibration")


def _show(title: str, rows: list[dict[str, Any]]) -> None:
    def of(grouping: str) -> list[dict[str, Any]]:
        return [row for row in rows if row["grouped_by"] == grouping]

    said = [
        with_reason(row)
        for row in sorted(of(BY_ALL), key=lambda row: (row["rule"] != COMBINED, row["rule"], row["action"]))
        if row["action"] != HOLD
    ]
    print_filled(f"{title}: right beside other members of the same sessions", said, _RULES)
    tenths = [{**row, "from": row["bin"] / 10} for row in of(BY_CONFIDENCE)]
    print_filled("By confidence; skill below 0: a worse forecast than the base rate", tenths, _CONFIDENCE)
    strengths = [{**row, "tenth": row["bin"]} for row in of(BY_STRENGTH)]
    print_filled("By strength, in tenths of the session's members; 10: strongest", strengths, _STRENGTH)
    err.print(
        "hit_rate: buys that beat, and sells that trailed, the mean of their universe; base_rate: of all members."
    )
