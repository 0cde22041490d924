"""A text in Dagster's own storage that outlives this process: what sensors remember besides their cursors.

A cursor is stored again with every tick, so only what is small belongs there.
"""

from dataclasses import dataclass

import dagster as dg

PREFIX = "breadthflow/"


@dataclass(frozen=True)
class StoredText:
    """The text of one name. The daemon evaluates one sensor at a time; of two who write at once the last one wins."""

    instance: dg.DagsterInstance
    name: str

    def read(self) -> str | None:
        return self.instance.run_storage.get_cursor_values({PREFIX + self.name}).get(PREFIX + self.name)

    def write(self, text: str) -> None:
        self.instance.run_storage.set_cursor_values({PREFIX + self.name: text})
