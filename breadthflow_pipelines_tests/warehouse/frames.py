"""Frames that tests of the store write by hand, and what a merge did in four numbers."""

import datetime as dt

import polars as pl

from breadthflow_pipelines.sources.protocol import SECURITY_SCHEMA
from breadthflow_pipelines.warehouse.bulk import Merged

BARS = {"security_id": pl.Int64, "session": pl.Date} | dict.fromkeys(
    ("open", "high", "low", "close", "volume", "close_adjusted"), pl.Float64
)


def day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text else None


def listing(*rows: tuple[int, str, str, str | None, str | None]) -> pl.DataFrame:
    """security_id, key, symbol, first day, first day no longer."""
    return pl.DataFrame(
        [(key, symbol, day(start), day(end), f"{key} Inc.", None, number) for number, key, symbol, start, end in rows],
        schema={**SECURITY_SCHEMA, "security_id": pl.Int64},
        orient="row",
    )


def members(*rows: tuple[str, int, str, str | None]) -> pl.DataFrame:
    """universe, security_id, first day in, first day out."""
    return pl.DataFrame(
        [(universe, number, day(start), day(end), f"S{number}") for universe, number, start, end in rows],
        schema={
            "universe": pl.String,
            "security_id": pl.Int64,
            "valid_from": pl.Date,
            "valid_to": pl.Date,
            "symbol": pl.String,
        },
        orient="row",
    )


def bars(*rows: tuple[int, str, float]) -> pl.DataFrame:
    """security_id, session, close; the rest follows from the close."""
    complete = [(n, day(session), c, c + 1, c - 1, c, 100 * c, None) for n, session, c in rows]
    return pl.DataFrame(complete, schema=BARS, orient="row")


def figures(merged: Merged) -> tuple[int, int, int, int]:
    return merged.inserted, merged.updated, merged.unchanged, merged.deleted


TWO = listing((1, "A", "A", None, None), (2, "B", "B", None, None))
