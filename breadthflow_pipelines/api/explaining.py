"""Why a signal fired, as the command breadthflow explain says it, in parts that programs and pages show."""

from collections.abc import Mapping, Sequence
from typing import Any

from breadthflow_pipelines.api.service import Service
from breadthflow_pipelines.api.shapes import SIGNAL, SYMBOL, Shape
from breadthflow_pipelines.model.vocabulary import RECORD_HORIZON
from breadthflow_pipelines.reports.records import record_told
from breadthflow_pipelines.reports.tables import text
from breadthflow_pipelines.signals.explanation import Explanation, explanation
from breadthflow_pipelines.signals.symbol_explanation import symbol_explanation
from breadthflow_pipelines.warehouse import signal_listing, symbol_listing
from breadthflow_pipelines.warehouse.database import Row
from breadthflow_pipelines.warehouse.universe_listing import marked


def explained(service: Service, signal_id: str) -> dict[str, Any]:
    """A signal and its explanation: signal, title, record, parts, sessions.

    Raises:
        RequestError: there is no such signal; says what is wrong with the id.
    """
    if symbol_listing.is_address(signal_id):
        address = symbol_listing.address_of(signal_id)
        row = symbol_listing.symbol_signal(service.store, address, with_close=service.settings.reader_sees_bars)
        return _put(SYMBOL, row, symbol_explanation(row, text), [])
    row, sessions = signal_listing.signal(service.store, signal_id)
    [row] = marked(service.store, [row])
    return _put(SIGNAL, row, explanation(row, text), sessions)


def _put(shape: Shape, row: Row, told: Explanation, sessions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "signal": {name: row[name] for name in shape.names if name in row},
        "title": told.title,
        "record": record_told(row, RECORD_HORIZON),
        "parts": told.parts,
        "sessions": [{name: session[name] for name in told.columns if name in session} for session in sessions],
    }
