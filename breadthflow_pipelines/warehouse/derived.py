"""Tables that hold what catalogues of formulas compute: their columns come and go with the formulas.

What such a table holds can be computed anew at any time, so a column needs no migration: it is added when a formula is,
taken away with it, and made anew, empty, when what it says of itself changes. tables.py has what stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class under a lower-case name
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION

from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.database import Database


@dataclass(frozen=True)
class Measure:
    """A column of computed numbers: its name, what it is for people, and its bounds (None: anything finite)."""

    name: str
    about: str
    low: float | None = None
    high: float | None = None

    @property
    def comment(self) -> str:
        """What the column says of itself in the store; it changes whenever the column has to be made anew."""
        bounds = (self.low, self.high)
        if bounds == (None, None):
            return self.about
        low, high = ("" if bound is None else f"{bound:g}" for bound in bounds)
        return f"{self.about} [{low}, {high}]"


def with_measures(table: sa.Table, measures: Sequence[Measure]) -> sa.Table:
    """The table with a column for each measure, as the store has it once it is fitted."""
    fitted = table.to_metadata(sa.MetaData())
    for measure in measures:
        fitted.append_column(sa.Column(measure.name, DOUBLE_PRECISION(), comment=measure.comment))
    return fitted


def fit(database: Database, table: sa.Table, measures: Sequence[Measure]) -> sa.Table:
    """Make the stored table have exactly these measured columns, and views over it show them; returns the table.

    The caller holds ``exclusive`` of the table. Where nothing has to change, nothing is locked.
    """
    wanted = {measure.name: measure for measure in measures}
    with database.connect() as connection, connection.cursor() as cursor:
        stored = _stored(cursor, table)
        gone = [name for name, comment in stored.items() if name not in wanted or comment != wanted[name].comment]
        new = [measure for measure in measures if measure.name not in stored or measure.name in gone]
        if gone or new:
            for view in tables.VIEWS.get(table.name, ()):
                cursor.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier(view)))
            _alter(cursor, table.name, gone, new)
            for view, query in tables.VIEWS.get(table.name, {}).items():
                cursor.execute(query(list(wanted)))
                comment = sql.Literal(tables.VIEW_COMMENTS[view])
                cursor.execute(sql.SQL("COMMENT ON VIEW {} IS {}").format(sql.Identifier(view), comment))
    return with_measures(table, measures)


def _stored(cursor: Cursor, table: sa.Table) -> dict[str, str]:
    """The measured columns that the store has, with their comments."""
    cursor.execute(
        "SELECT attname, coalesce(col_description(attrelid, attnum), '') FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        (table.name,),
    )
    return {name: comment for name, comment in cursor.fetchall() if name not in table.columns}


def _alter(cursor: Cursor, table: str, gone: Sequence[str], new: Sequence[Measure]) -> None:
    drop, add = sql.SQL("DROP COLUMN {}"), sql.SQL("ADD COLUMN {} double precision CONSTRAINT {} CHECK ({})")
    steps = [drop.format(sql.Identifier(name)) for name in gone]
    steps += [add.format(sql.Identifier(m.name), sql.Identifier(f"{table}_{m.name}_range"), _bounds(m)) for m in new]
    cursor.execute(sql.SQL("ALTER TABLE {} {}").format(sql.Identifier(table), sql.SQL(", ").join(steps)))
    for measure in new:
        column = sql.Identifier(table, measure.name)
        cursor.execute(sql.SQL("COMMENT ON COLUMN {} IS {}").format(column, sql.Literal(measure.comment)))


def _bounds(measure: Measure) -> sql.Composable:
    """A finite number within the bounds. NaN sorts above infinity, so one bound on each side refuses all three."""
    column = sql.Identifier(measure.name)
    low, high = (sql.Literal(bound) for bound in (measure.low, measure.high))
    above = (
        sql.SQL("{} > '-Infinity'").format(column) if measure.low is None else sql.SQL("{} >= {}").format(column, low)
    )
    below = (
        sql.SQL("{} < 'Infinity'").format(column) if measure.high is None else sql.SQL("{} <= {}").format(column, high)
    )
    return sql.SQL(" AND ").join([above, below])
