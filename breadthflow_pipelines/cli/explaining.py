"""The command that says why a signal fired, of a universe or of one of its members."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from breadthflow_pipelines.cli.app import app
from breadthflow_pipelines.cli.display import out, say_held, titled
from breadthflow_pipelines.cli.store import existing_store
from breadthflow_pipelines.model.vocabulary import FINAL, PROVISIONAL, RECORD_HORIZON
from breadthflow_pipelines.reports import tables
from breadthflow_pipelines.reports.records import record_told
from breadthflow_pipelines.warehouse import signal_listing, symbol_listing
from breadthflow_pipelines.warehouse.database import Database, Row

if TYPE_CHECKING:
    from breadthflow_pipelines.signals.explanation import Explanation


UNSETTLED = (
    "Provisional  its bars are final, but its indicators still depend on where history begins; a longer history, from "
    "an earlier BREADTHFLOW_START on, settles them"
)


@app.command()
def explain(
    signal_id: Annotated[str, typer.Argument(help="As breadthflow signals or breadthflow symbols prints it.")],
) -> None:
    """Print why a signal fired: its rule, published source, and the sessions and counts behind it.

    Of a member, universe:symbol:session: its votes, what they looked at, and what breadth and unknown votes did.

    Examples: breadthflow explain 0123456789abcdef; breadthflow explain sp500:AAPL:2024-03-01
    """
    database = existing_store()
    if symbol_listing.is_address(signal_id):
        from breadthflow_pipelines.signals.symbol_explanation import symbol_explanation

        row = symbol_listing.symbol_signal(database, symbol_listing.address_of(signal_id))
        _print(database, row, symbol_explanation(row, tables.text), [])
        say_held(database, row["universe"], "symbol_signals")
        return
    from breadthflow_pipelines.signals.explanation import explanation

    row, sessions = signal_listing.signal(database, signal_id)
    _print(database, row, explanation(row, tables.text), sessions)
    if row["state"] == PROVISIONAL and sessions and sessions[-1]["state"] == FINAL:
        out.print(UNSETTLED, markup=False)


def _print(database: Database, row: Row, explained: "Explanation", sessions: Sequence[dict[str, Any]]) -> None:
    out.print(titled(explained.title, [row["universe"]], database), style="bold", markup=False)
    out.print(f"Record       {record_told(row, RECORD_HORIZON)}", markup=False)
    for part in explained.parts:
        out.print(part if isinstance(part, str) else tables.table("", part, list(part[0])), markup=False)
    if explained.columns:
        out.print(tables.table("Sessions", sessions, explained.columns))
