"""How far the store has come, what fails, the last runs; and whether the API works, for whoever watches it."""

import datetime as dt
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from pydantic_core import to_json

from breadthflow_pipelines.api.access import Viewer
from breadthflow_pipelines.api.answers import PROGRAM, Media, accepted
from breadthflow_pipelines.api.openapi import problems
from breadthflow_pipelines.api.service import Service, Serving
from breadthflow_pipelines.model.vocabulary import Severity, State
from breadthflow_pipelines.warehouse import health_listing, overview, verdicts
from breadthflow_pipelines.warehouse.database import HEAD, Row, revision

RUNS_SHOWN = 10
_NOT_KEPT = {"Cache-Control": "no-store"}

router = APIRouter(tags=["data quality"])


class Freshness(BaseModel):
    """A universe on its last session."""

    universe: str = Field(description="Its name.", examples=["sp500"])
    synthetic: bool = Field(description="Whether its companies are invented.", examples=[False])
    last: dt.date = Field(description="Its last session.", examples=["2024-03-01"])
    behind: int = Field(description="Closed sessions that it lacks since then. Unit: sessions.", examples=[0])
    state: State = Field(description="Whether that one may still change.")
    members: int | None = Field(description="Members on it; null of published counts. Unit: issues.", examples=[503])
    priced: int | None = Field(description="Of them, those with a bar. Unit: issues.", examples=[501])
    coverage: float | None = Field(description="priced / members. Unit: fraction.", examples=[0.996])


class FailingCheck(BaseModel):
    """A check that fails now."""

    asset: str = Field(description="What it judges.", examples=["bars"])
    check: str = Field(description="Its name.", examples=["no_session_missing"])
    severity: Severity = Field(description="What it means.")
    since: dt.datetime = Field(description="Since when it fails.", examples=["2024-03-01T22:15:00Z"])
    months: int = Field(description="How many months fail.", examples=[1])
    failing: int = Field(description="Sessions or rows that fail.", examples=[2])
    first: dt.date | None = Field(description="The first session that fails; null: not known.", examples=["2024-03-01"])
    last: dt.date | None = Field(description="The last one.", examples=["2024-03-01"])
    said: str = Field(description="What is wrong.", examples=["no bars on 2024-03-01"])
    next: str = Field(description="The command that helps.", examples=["breadthflow backfill --from 2024-03-01"])


class Held(BaseModel):
    """Sessions that a check keeps from being used."""

    gate: str = Field(description="The check.", examples=["coverage_at_gate"])
    sessions: int = Field(description="How many. Unit: sessions.", examples=[1])


class Due(BaseModel):
    """What the next run computes again because something below it changed."""

    asset: str = Field(description="What.", examples=["breadth_counts"])
    first: dt.date = Field(description="From which session on.", examples=["2024-02-27"])
    changed: str = Field(description="What changed.", examples=["bars"])


class LastRun(BaseModel):
    """One of the last runs."""

    run_id: str = Field(description="Its id.", examples=["6f1c1a54-3c0e-4a53-9d0a-2f7c1f8f2a11"])
    job: str = Field(description="What ran.", examples=["bring_up_to_date"])
    status: str = Field(description="As Dagster names it.", examples=["SUCCESS"])
    started: dt.datetime | None = Field(description="When; null: not yet.", examples=["2024-03-01T22:15:00Z"])
    seconds: float | None = Field(description="How long it took; null: it has not ended. Unit: s.", examples=[41.5])


class StoreStatus(BaseModel):
    """How far the store has come."""

    program: str = Field(description="This program's version.", examples=["0.1.0"])
    last_closed: dt.date = Field(description="The exchange's last closed session.", examples=["2024-03-01"])
    universes: list[Freshness] = Field(description="Each universe on its last session.")
    checks: list[FailingCheck] = Field(description="Checks that fail now, errors first.")
    holds: list[Held] = Field(description="What keeps sessions from being used, where nobody accepted it.")
    due: list[Due] = Field(description="What the next run computes again.")
    runs: list[LastRun] = Field(description=f"The last {RUNS_SHOWN} runs, the newest first.")


class Health(BaseModel):
    """Whether the API works."""

    database: bool = Field(
        description="Whether the store is of this program's version; where it does not answer, the status is 503.",
        examples=[True],
    )


@router.get(
    "/v1/status",
    response_model=StoreStatus,
    responses=problems(401, 406, 429, 503),
)
def status(request: Request, service: Serving, _who: Viewer) -> Response:
    """Freshness and coverage of each universe, checks that fail, what is held or due, and the last runs."""
    media = accepted(request, (Media.JSON,))
    return Response(to_json(_status(service), inf_nan_mode="null"), media_type=media, headers=_NOT_KEPT)


@router.get("/health", response_model=Health, responses=problems(429, 503))
def health(request: Request, service: Serving) -> Health:
    """Whether the API and its database work. Asks for no token, and says nothing else."""
    request.app.state.limits.arrives(request)
    return Health(database=revision(service.store) == HEAD)


def _status(service: Service) -> dict[str, Any]:
    calendar = service.calendar()
    closed = calendar.last_closed()

    def fresh(row: Row) -> Row:
        return {**row, "behind": sum(1 for day in calendar.between(row["last"], closed) if day > row["last"])}

    runs = overview.last_runs(service.dagster, RUNS_SHOWN)
    return {
        "program": PROGRAM,
        "last_closed": closed,
        "universes": [_only(Freshness, fresh(row)) for row in overview.universes(service.store)],
        "checks": [_only(FailingCheck, row) for row in verdicts.failing(service.store)],
        "holds": health_listing.holds(service.store),
        "due": overview.due(service.store),
        "runs": [{**row, "seconds": None if row["seconds"] is None else float(row["seconds"])} for row in runs],
    }


def _only(model: type[BaseModel], row: Row) -> Row:
    return {name: row[name] for name in model.model_fields}
