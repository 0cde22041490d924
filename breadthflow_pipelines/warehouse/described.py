"""What the columns of a table are, for whoever shows them: names, types in Python, and what the comments say."""

from typing import NamedTuple

from breadthflow_pipelines.warehouse.tables import metadata


class Described(NamedTuple):
    """A column. kind: the Python type of its values, list and dict included."""

    name: str
    kind: type
    about: str
    nullable: bool


def described(table: str) -> dict[str, Described]:
    """By name, the columns that a table always has; those that follow a catalogue are described by it.

    Names are plain texts: SQLAlchemy's own are slow to write as JSON.
    """
    return {
        name: Described(name, column.type.python_type, column.comment or "", bool(column.nullable))
        for name, column in ((str(column.name), column) for column in metadata.tables[table].c)
    }
