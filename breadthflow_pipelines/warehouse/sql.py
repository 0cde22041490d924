"""Pieces of SQL that several modules of this room write. Whole queries stand with what they ask for."""

from collections.abc import Iterable


def quoted(values: Iterable[str]) -> str:
    """Words of ours as a list of literals; never for what people type."""
    return ", ".join(f"'{value}'" for value in values)
