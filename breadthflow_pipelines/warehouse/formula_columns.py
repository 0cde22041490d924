"""Tables that hold what catalogues of formulas compute: their columns come and go with the formulas.

What such a table holds can be recomputed at any time, so a column needs no migration: it is added when a formula is
and taken away with it, and what it says of itself is what the formula says. tables.py has what stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class under a lower-case name
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION

from breadthflow_pipelines.warehouse import views
from breadthflow_pipelines.warehouse.database import HEAD, Database, revision
from breadthflow_pipelines.warehouse.roles import let_read


@dataclass(frozen=True)
class FormulaColumn:
    """A column of computed numbers: its name, what it is for people, and its bounds (None: anything finite)."""

    name: str
    about: str
    low: float | None = None
    high: float | None = None

    @property
    def comment(self) -> str:
        """What the column says of itself in the store."""
        bounds = (self.low, self.high)
        if bounds == (None, None):
            return self.about
        low, high = ("" if bound is None else f"{bound:g}" for bound in bounds)
        return f"{self.about} [{low}, {high}]"


def with_formula_columns(table: sa.Table, formulas: Sequence[FormulaColumn]) -> sa.Table:
    """The table with a column for each formula, as the store has it once it is fitted."""
    fitted = table.to_metadata(sa.MetaData())
    for formula in formulas:
        fitted.append_column(sa.Column(formula.name, DOUBLE_PRECISION(), comment=formula.comment))
    return fitted


def fit(database: Database, table: sa.Table, formulas: Sequence[FormulaColumn]) -> sa.Table:
    """Make the stored table have exactly these columns of formulas, and views over it show them; returns the table.

    The caller holds ``exclusive`` of the table. Where nothing has to change, nothing is locked. The tables of a newer
    program stay as they are: it has been upgraded while this one's run was under way, and its columns are not ours.
    """
    if (found := revision(database)) is not None and found > HEAD:
        return with_formula_columns(table, formulas)
    with database.connect() as connection, connection.cursor() as cursor:
        stored = _stored(cursor, table)
        gone = [name for name in stored if name not in {formula.name for formula in formulas}]
        new = [formula for formula in formulas if formula.name not in stored]
        reworded = [formula for formula in formulas if stored.get(formula.name, formula.comment) != formula.comment]
        if gone or new:
            _alter(cursor, table.name, gone, new, [formula.name for formula in formulas])
        if reworded:
            _reword(cursor, table.name, reworded)
    return with_formula_columns(table, formulas)


def new_columns(database: Database, table: sa.Table, formulas: Sequence[FormulaColumn]) -> list[str]:
    """The formulas that the stored table has no column for yet: rows that are there know nothing of them."""
    with database.connect() as connection, connection.cursor() as cursor:
        stored = _stored(cursor, table)
    return [formula.name for formula in formulas if formula.name not in stored]


def _stored(cursor: Cursor, table: sa.Table) -> dict[str, str]:
    """The columns of formulas that the store has, with their comments."""
    cursor.execute(
        "SELECT attname, coalesce(col_description(attrelid, attnum), '') FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        (table.name,),
    )
    return {name: comment for name, comment in cursor.fetchall() if name not in table.columns}


def _alter(
    cursor: Cursor, table: str, gone: Sequence[str], new: Sequence[FormulaColumn], columns: Sequence[str]
) -> None:
    drop, add = sql.SQL("DROP COLUMN {}"), sql.SQL("ADD COLUMN {} double precision CONSTRAINT {} CHECK ({})")
    steps = [drop.format(sql.Identifier(name)) for name in gone]
    steps += [add.format(sql.Identifier(m.name), _range(table, m), _bounds(m)) for m in new]
    # Nobody looks for a row by one of fifty figures, so it need not be known how they are spread.
    steps += [sql.SQL("ALTER COLUMN {} SET STATISTICS 0").format(sql.Identifier(m.name)) for m in new]
    over = [view(columns) for view in views.FOLLOWING.get(table, ())]
    for view in over:
        cursor.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier(view.name)))
    cursor.execute(sql.SQL("ALTER TABLE {} {}").format(sql.Identifier(table), sql.SQL(", ").join(steps)))
    for view in over:
        cursor.execute(view.statement)
        comment = sql.Literal(view.comment)
        cursor.execute(sql.SQL("COMMENT ON VIEW {} IS {}").format(sql.Identifier(view.name), comment))
        let_read(cursor, view.name)
    _comment(cursor, table, new)


def _reword(cursor: Cursor, table: str, formulas: Sequence[FormulaColumn]) -> None:
    """Let columns say something else, within other bounds; what was computed before may lie outside the new ones."""
    change = sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}, ADD CONSTRAINT {} CHECK ({}) NOT VALID")
    for formula in formulas:
        name = _range(table, formula)
        cursor.execute(change.format(sql.Identifier(table), name, name, _bounds(formula)))
    _comment(cursor, table, formulas)


def _comment(cursor: Cursor, table: str, formulas: Sequence[FormulaColumn]) -> None:
    for formula in formulas:
        column = sql.Identifier(table, formula.name)
        cursor.execute(sql.SQL("COMMENT ON COLUMN {} IS {}").format(column, sql.Literal(formula.comment)))


def _range(table: str, formula: FormulaColumn) -> sql.Identifier:
    """The name of the constraint that holds a column to its bounds."""
    return sql.Identifier(f"{table}_{formula.name}_range")


def _bounds(formula: FormulaColumn) -> sql.Composable:
    """A finite number within the bounds. NaN sorts above infinity, so one bound on each side refuses all three."""
    column = sql.Identifier(formula.name)
    low, high = (sql.Literal(bound) for bound in (formula.low, formula.high))
    above = (
        sql.SQL("{} > '-Infinity'").format(column) if formula.low is None else sql.SQL("{} >= {}").format(column, low)
    )
    below = (
        sql.SQL("{} < 'Infinity'").format(column) if formula.high is None else sql.SQL("{} <= {}").format(column, high)
    )
    return sql.SQL(" AND ").join([above, below])
