"""Holds: what must not be built on, and what people decided of it. By rows, not frames: there are few of them.

What is found is settled in the transaction of whoever finds it, in one statement that sees one state of the store. The
gates and what they hold are in model/gates.py; what each of them finds is said where its table is written.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.gates import ACCEPTABLE, EVERY, GATES, HELD_BY, MISSING, OF_OWN_ROWS, listed
from breadthflow_pipelines.model.vocabulary import ACCEPTED, WITHDRAWN
from breadthflow_pipelines.warehouse.audit_store import present_user, record
from breadthflow_pipelines.warehouse.database import Database, Row, answer, rows_of
from breadthflow_pipelines.warehouse.recomputations import note_change

if TYPE_CHECKING:
    from breadthflow_pipelines.warehouse.bulk import Parameter, Statement


_KEY = "gate, universe, synthetic, session"

# In one statement, so that a hold which somebody else stores at the same time is neither overlooked nor removed.
_SETTLE = f"""
WITH found AS (SELECT universe, session, missing, said FROM ({{found}}) AS f),
     gone AS (DELETE FROM holds h WHERE h.gate = '{{gate}}' AND h.synthetic = {{synthetic}}
                 AND h.session BETWEEN {{start}} AND {{end}}
                 AND NOT EXISTS (SELECT FROM found f WHERE f.universe = h.universe AND f.session = h.session)
              RETURNING {_KEY}),
     lapsed AS (INSERT INTO hole_decisions ({_KEY}, missing, decision, decided_by, reason)
                SELECT {_KEY}, missing, 'lapsed', 'run ' || left({{run}}::text, 8), 'nothing is missing any more'
                  FROM gone JOIN accepted_holes USING ({_KEY}))
INSERT INTO holds ({_KEY}, missing, said, run_id)
SELECT '{{gate}}', universe, {{synthetic}}, session, missing, said, {{run}}::text FROM found
    ON CONFLICT ({_KEY}) DO UPDATE SET missing = EXCLUDED.missing, said = EXCLUDED.said
"""


def settling(
    gate: str,
    found: str,
    parameters: Sequence[Parameter],
    days: tuple[dt.date, dt.date],
    run_id: str,
    *,
    synthetic: bool = False,
) -> Statement:
    """The statement that makes the holds of a gate be exactly those that were found on these days, both ends included.

    found: a query of universe, session, missing (a share), said, with ``parameters``. A hold that stays keeps since
    when it is known. An accepted hole that is no more lapses, with a line in the log of decisions.

    synthetic: with EVERY, whose bars.
    """
    first = len(parameters) + 1
    marks = {"start": f"${first}", "end": f"${first + 1}", "run": f"${first + 2}"}
    query = _SETTLE.format(
        gate=gate,
        found=found,
        synthetic=str(synthetic).lower(),
        **marks,
    )
    return query, (*parameters, *days, run_id)


def given_rows(rows: Iterable[Mapping[str, object]]) -> tuple[str, Sequence[Parameter]]:
    """A query, with its parameter, of rows found outside the store: universe, session, missing, said."""
    columns = "universe text, session date, missing double precision, said text"
    return f"SELECT * FROM jsonb_to_recordset(($1::text)::jsonb) AS given({columns})", (
        json.dumps(list(rows), default=str),
    )


def unheld(
    scope: str, parameters: Sequence[Parameter], held: Mapping[str, dt.date], column: str = "session"
) -> tuple[str, Sequence[Parameter]]:
    """The scope of a merge (bulk.py) without what is held: of these universes, everything from a session on.

    column: the one with the session, or with the month where those of ``held`` are first days of months.
    """
    if not held:
        return scope, parameters
    first = f"(((${len(parameters) + 1}::text)::jsonb) ->> universe)::date"
    return f"({scope}) AND {column} < coalesce({first}, 'infinity')", (*parameters, json.dumps(held, default=str))


def first_held(database: Database, asset: str) -> dict[str, Row]:
    """By universe, the first of the holds that keep an asset from being made; universes without any are left out.

    gate, session, said, since, run_id; universe and synthetic as the hold has them; of_synthetic: whether the universe
    is one of invented companies.
    """
    rows = rows_of(
        database,
        """
        WITH universes AS (SELECT universe, bool_or(s.synthetic) AS synthetic
                             FROM universe_members JOIN securities s USING (security_id) GROUP BY universe)
        SELECT DISTINCT ON (u.universe) u.universe AS held, h.gate, h.universe, h.session, h.said, h.since, h.run_id,
               h.synthetic, u.synthetic AS of_synthetic
          FROM universes u
          JOIN holding h ON h.universe = u.universe OR (h.universe = %(every)s AND h.synthetic = u.synthetic)
         WHERE h.gate = ANY(%(gates)s) ORDER BY u.universe, h.session, h.gate
        """,
        {"every": EVERY, "gates": list(HELD_BY.get(asset, ()))},
    )
    return {row.pop("held"): row for row in rows}


def holding(database: Database, gates: Collection[str]) -> list[Row]:
    """The holds of these gates that nobody accepted, oldest session first."""
    query = f"SELECT {_KEY}, said, since, run_id FROM holding WHERE gate = ANY(%s) ORDER BY session, universe"
    return rows_of(database, query, [list(gates)])


def first_wrong(database: Database, asset: str) -> dt.date | None:
    """The first session whose rows a gate of the asset, of OF_OWN_ROWS, found wrong; None where there is none."""
    gates = [gate for gate in OF_OWN_ROWS if GATES[gate] == asset]
    return next((row["session"] for row in holding(database, gates)), None) if gates else None


def accepted(database: Database, *, with_names: bool = False) -> list[Row]:
    """The holes that are there and accepted: gate, universe, session, said, decided_at, decided_by, reason.

    with_names: whether who decided is there; else it is null, as for readers, who may not see it.
    """
    return rows_of(
        database,
        f"SELECT h.gate, h.universe, h.session, h.said, a.decided_at, "
        f"{'a.decided_by' if with_names else 'NULL AS decided_by'}, a.reason "
        f"FROM holds h JOIN accepted_holes a USING ({_KEY}) "
        f"WHERE NOT EXISTS (SELECT FROM holding o WHERE (o.gate, o.universe, o.synthetic, o.session) "
        "= (h.gate, h.universe, h.synthetic, h.session)) ORDER BY h.session, h.universe",
    )


def asked_for(first: dt.date, last: dt.date) -> Statement:
    """The statement that notes that the source was just asked for the bars of these days."""
    return f"UPDATE holds SET tried_at = now() WHERE gate = '{MISSING}' AND session BETWEEN $1 AND $2", (first, last)


def to_ask_for(database: Database, since: dt.timedelta, *, synthetic: bool) -> list[dt.date]:
    """The sessions without bars that nobody accepted or asked for within that time, those asked longest ago first."""
    rows = rows_of(
        database,
        "SELECT h.session FROM holds h JOIN holding o USING (gate, universe, synthetic, session) "
        "WHERE h.gate = %(gate)s AND h.synthetic = %(synthetic)s AND coalesce(h.tried_at < now() - %(since)s, true) "
        "ORDER BY h.tried_at NULLS FIRST, h.session",
        {"gate": MISSING, "synthetic": synthetic, "since": since},
    )
    return [row["session"] for row in rows]


def accept(database: Database, first: dt.date, last: dt.date, universe: str | None, by: str, reason: str) -> list[Row]:
    """Accept the holes from first through last, of one universe or all; returns them: gate, universe, session, said.

    What follows them becomes due from the first one on.

    Raises:
        RequestError: there is none; says which there are.
    """
    rows = _decide(database, ACCEPTED, "holding", first, last, universe, by, reason)
    if not rows:
        there = [row["session"] for row in holding(database, ACCEPTABLE)]
        raise _none("nothing is missing", first, last, there)
    return rows


def withdraw(
    database: Database, first: dt.date, last: dt.date, universe: str | None, by: str, reason: str
) -> list[Row]:
    """Take back that the holes from first through last were accepted; returns them as accept() does.

    Raises:
        RequestError: none was accepted; says which were.
    """
    rows = _decide(database, WITHDRAWN, "accepted_holes", first, last, universe, by, reason)
    if not rows:
        raise _none("no hole was accepted", first, last, [row["session"] for row in accepted(database)])
    return rows


def _decide(
    database: Database,
    decision: str,
    among: str,
    first: dt.date,
    last: dt.date,
    universe: str | None,
    by: str,
    reason: str,
) -> list[Row]:
    values: Row = {"decision": decision, "first": first, "last": last, "universe": universe, "by": by, "reason": reason}
    with database.connect() as connection, connection.cursor() as cursor:
        rows = answer(
            cursor,
            f"WITH decided AS (INSERT INTO hole_decisions ({_KEY}, missing, decision, decided_by, reason) "
            f"SELECT {_KEY}, h.missing, %(decision)s, %(by)s, %(reason)s "
            f"FROM holds h JOIN (SELECT {_KEY} FROM {among}) o USING ({_KEY}) WHERE gate = ANY(%(gates)s) "
            "AND session BETWEEN %(first)s AND %(last)s AND universe = coalesce(%(universe)s, universe) "
            f"RETURNING {_KEY}) SELECT {_KEY}, said FROM decided JOIN holds USING ({_KEY}) ORDER BY session, universe",
            {**values, "gates": list(ACCEPTABLE)},
        )
        if rows:
            what = f"{len(rows)} holes from {rows[0]['session']} through {rows[-1]['session']}"
            record(cursor, decision, what, who=present_user(), behalf=by, reason=reason)
        if rows and decision == ACCEPTED:
            note_change(cursor, "quarantined_bars", rows[0]["session"], "accepted holes")
    return rows


def _none(what: str, first: dt.date, last: dt.date, there: Sequence[dt.date]) -> RequestError:
    days = f"on {first}" if first == last else f"from {first} through {last}"
    named = f"there is: {listed(there)}" if there else "there is no hole that could be decided"
    return RequestError(f"{what.capitalize()} {days}; {named}. breadthflow holes lists them.")
