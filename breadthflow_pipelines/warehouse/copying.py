"""Frames into tables by PostgreSQL's binary COPY, through psycopg2. Which rows are written where, bulk.py decides.

pgpq puts the rows into COPY's form, in a fifth of the time that ADBC takes for it (docs/decisions/drivers.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import pgpq
import polars as pl
import psycopg2.errors
import psycopg2.extensions
import pyarrow as pa
import sqlalchemy as sa
from pgpq.encoders import LargeStringEncoderBuilder
from pgpq.schema import Jsonb
from sqlalchemy.dialects import postgresql

ROWS_AT_A_TIME = 4_096  # about a megabyte in the form of COPY: libpq keeps a buffer of that size for each connection
CONVERTED_AT_A_TIME = 16 * ROWS_AT_A_TIME  # to Arrow: text is copied there, numbers are not

_TYPES: dict[type[sa.types.TypeEngine], pl.DataType] = {  # type: ignore[type-arg]
    sa.BigInteger: pl.Int64(),
    sa.Integer: pl.Int32(),
    sa.Boolean: pl.Boolean(),
    sa.Text: pl.String(),
    sa.Date: pl.Date(),
    sa.DateTime: pl.Datetime("us", "UTC"),
    postgresql.DOUBLE_PRECISION: pl.Float64(),
    postgresql.JSONB: pl.String(),
}


def copy_rows(
    cursor: psycopg2.extensions.cursor, name: str, table: sa.Table, frame: pl.DataFrame, *, frozen: bool = False
) -> None:
    """Append the frame's rows. name: of what is written, which has the table's types: it, a part of it, or a stage.

    frozen: it was made in this transaction, so that its pages need not be written again to say who sees the rows. JSON
    is given as text. A value that its column's type does not hold is refused (Polars' InvalidOperationError), and
    what the database refuses are psycopg2's errors.
    """
    columns = ", ".join(frame.columns)
    query = f"COPY {name} ({columns}) FROM STDIN (FORMAT binary{', FREEZE' if frozen else ''})"
    pieces = filter(None, _encoded(table, frame))  # an empty one would be the end; small ones wait in the encoder
    source = _Source(pieces)
    try:
        cursor.copy_expert(query, source)  # type: ignore[arg-type]
    except psycopg2.errors.QueryCanceled:
        if source.error is None:
            raise
        raise source.error from None


class _Source:
    """What psycopg2 reads from: each piece as it comes, however much was asked for, and nothing at the end.

    psycopg2 takes an error here for a COPY that was cancelled; ``error`` is what it was.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.error: BaseException | None = None

    def read(self, _size: int = -1) -> bytes:
        try:
            return next(self._pieces, b"")
        except BaseException as error:
            self.error = error
            raise


def _encoded(table: sa.Table, frame: pl.DataFrame) -> Iterator[bytes]:
    """The rows in COPY's binary form, in pieces."""
    form = _form(tuple((name, _type(table.c[name].type), _is_json(table.c[name].type)) for name in frame.columns))
    encoder = pgpq.ArrowToPostgresBinaryEncoder.new_with_encoders(form.schema, form.encoders)
    yield encoder.write_header()
    for rows in frame.iter_slices(CONVERTED_AT_A_TIME):
        for batch in rows.cast(form.types).to_arrow().to_batches(ROWS_AT_A_TIME):  # type: ignore[arg-type]
            yield encoder.write_batch(batch)
    yield encoder.finish()


class _Form(NamedTuple):
    """How columns are sent: the types of the frame, and each one's encoder."""

    types: dict[str, pl.DataType]
    schema: pa.Schema
    encoders: dict[str, Any]


@lru_cache(maxsize=64)
def _form(columns: tuple[tuple[str, pl.DataType, bool], ...]) -> _Form:
    """That of these columns: name, type, whether it is JSON. Finding it takes as long as sending hundreds of rows."""
    types = {name: kind for name, kind, _ in columns}
    schema = pl.DataFrame(schema=types).to_arrow().schema
    json = {name for name, _, is_json in columns if is_json}
    return _Form(types, schema, {field.name: _encoder(field, field.name in json) for field in schema})


def _is_json(declared: sa.types.TypeEngine) -> bool:  # type: ignore[type-arg]
    return isinstance(declared, postgresql.JSONB)


def _type(declared: sa.types.TypeEngine) -> pl.DataType:  # type: ignore[type-arg]
    """How a column of that type is sent: as exactly what it is, for COPY's binary form converts nothing."""
    if isinstance(declared, sa.ARRAY):
        return pl.List(_type(declared.item_type))
    return next(kind for sort, kind in _TYPES.items() if isinstance(declared, sort))


def _encoder(field: pa.Field, is_json: bool) -> Any:
    if is_json:
        return LargeStringEncoderBuilder.new_with_output(field, Jsonb())
    return pgpq.ArrowToPostgresBinaryEncoder.infer_encoder(field)
