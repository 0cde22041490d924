"""How far a store has come, in words: why nothing is there of what somebody asks for, and the command that helps."""

import datetime as dt
from collections.abc import Mapping
from itertools import groupby

from breadthflow_pipelines.errors import NEXT_LINE, RequestError
from breadthflow_pipelines.model.gates import EVERY, GATES, HELD_BY, Hold, described, remedy
from breadthflow_pipelines.warehouse import holds, verdicts
from breadthflow_pipelines.warehouse.database import Database, rows_of


def check_universe(database: Database, universe: str) -> None:
    """Refuse a universe of which nothing was computed yet, or of which nobody ever heard.

    Raises:
        RequestError: says why nothing was computed, or which universes there are.
    """
    if rows_of(database, "SELECT FROM breadth_indicators WHERE universe = %s LIMIT 1", [universe]):
        return
    rows = rows_of(
        database,
        "SELECT universe FROM breadth_indicators UNION SELECT universe FROM universe_members "
        "UNION SELECT exchange FROM exchange_breadth ORDER BY 1",
    )
    names = [row["universe"] for row in rows]
    if universe in names or not names:
        raise RequestError(why_nothing(database, universe if names else None))
    raise RequestError(f"Universe {universe} is unknown; there are: {', '.join(names)}.")


def why_nothing(database: Database, universe: str | None = None, asset: str = "breadth_counts") -> str:
    """Why nothing of an asset is stored, of a universe or of any: what was found wrong, and the command that helps."""
    if message := why_held(database, universe, asset):
        return message
    wrong = [row for row in verdicts.failing(database) if row["severity"] == "error"]
    if wrong:
        return f"Nothing is computed yet: {wrong[0]['said']} ({wrong[0]['check']}).{NEXT_LINE}{wrong[0]['next']}"
    if not rows_of(database, "SELECT FROM securities LIMIT 1"):
        return empty(database)
    of = f" of {universe}" if universe else ""
    return f"Nothing is computed yet{of}: no run has come to its end.{NEXT_LINE}breadthflow run"


def empty(database: Database) -> str:
    """That nothing was ever loaded into the store, where it lies if it is our own, and the command that helps."""
    place = f" It lies in {database.embedded.home} (BREADTHFLOW_HOME)." if database.embedded else ""
    return f"The store is empty.{place}{NEXT_LINE}breadthflow run"


def why_held(database: Database, universe: str | None, asset: str) -> str | None:
    """From which session on an asset is held, of a universe or of any, and why, with what helps; None: it is not."""
    mine = holds.first_held(database, asset)
    if universe is not None:
        mine = {name: hold for name, hold in mine.items() if name == universe}
    return held_message(database, asset, mine) if mine else None


def held_message(database: Database, asset: str, mine: Mapping[str, Hold], end: dt.date = dt.date.max) -> str:
    """What holds an asset through ``end``, in words; mine: by universe, its first hold (``holds.first_held``)."""
    first = min(hold["session"] for hold in mine.values())
    of = {(hold["universe"], hold["synthetic"]) for hold in mine.values()}
    every = [
        hold
        for hold in holds.holding(database, HELD_BY[asset])
        if (hold["universe"], hold["synthetic"]) in of and hold["session"] <= end
    ]
    every.sort(key=lambda hold: hold["gate"])
    gates = {gate: list(rows) for gate, rows in groupby(every, key=lambda hold: hold["gate"])}
    gate = min(gates, key=lambda name: gates[name][0]["session"])
    what = "; ".join(f"{described(rows)} ({name})" for name, rows in gates.items())
    whom = "" if any(hold["universe"] == EVERY for hold in mine.values()) else f" of {', '.join(sorted(mine))}"
    next_ = remedy(GATES[gate], gate, gates[gate][0]["session"], gates[gate][-1]["session"])
    return f"{asset}{whom} is held from {first} on: {what}.{NEXT_LINE}{next_}"
