"""Runs, started, watched and ended by API: through Dagster, so that each is one like any other in its UI."""

import datetime as dt
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from breadthflow_pipelines.api.access import Operator, Principal, Viewer
from breadthflow_pipelines.api.dagster_client import UNFINISHED, DagsterClient, client_of
from breadthflow_pipelines.api.openapi import problems
from breadthflow_pipelines.api.problems import Problem
from breadthflow_pipelines.api.run_views import OF_DAGSTER, Run, RunDetails, Runs, Status, details_of, run_of
from breadthflow_pipelines.api.service import Service, Serving
from breadthflow_pipelines.errors import NEXT_LINE, BusyError, RequestError
from breadthflow_pipelines.model.datasets import CHECKS_JOB, DAILY_ASSETS, DAILY_JOB, WEEKLY_JOB
from breadthflow_pipelines.model.run_tags import FORMAT, REQUEST_TAG, range_tags
from breadthflow_pipelines.model.vocabulary import ENDED, Role
from breadthflow_pipelines.sessions import check_within_history
from breadthflow_pipelines.warehouse import audit_listing, audit_store, run_requests

router = APIRouter(prefix="/v1/runs", tags=["runs"])

MOST_RUNS, USUAL_RUNS = 200, 50  # in a page
PATIENCE = 30.0  # seconds that a request waits for others that start a run
ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


class Job(StrEnum):
    """What can be run: everything through a day, all checks alone, or events again on changed data."""

    BRING_UP_TO_DATE = DAILY_JOB
    RUN_CHECKS = CHECKS_JOB
    RERUN_EVENTS = WEEKLY_JOB


class Wanted(BaseModel):
    """A run that is wanted. Runs compute every universe."""

    model_config = ConfigDict(extra="forbid")

    job: Job = Field(
        default=Job.BRING_UP_TO_DATE,
        description="What is to be run: bring_up_to_date fetches and computes the months of a range; run_checks judges "
        "all that is stored; rerun_events finds every rule's events again, which takes minutes.",
        examples=["bring_up_to_date"],
    )
    first: dt.date | None = Field(
        default=None,
        alias="from",
        description="The first day of the range, of bring_up_to_date alone. Its whole month is run.",
        examples=["2024-01-02"],
    )
    last: dt.date | None = Field(
        default=None,
        alias="to",
        description="The last day of the range, which the run does not look beyond.",
        examples=["2024-03-28"],
    )
    assets: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=len(DAILY_ASSETS),
        description="Only these assets of bring_up_to_date, made of what is stored of the others; null: all of them.",
        examples=[None],
    )

    @model_validator(mode="before")
    @classmethod
    def _of_every_universe(cls, data: Any) -> Any:
        if isinstance(data, dict) and "universe" in data:
            raise ValueError("a run computes every universe; leave universe out")
        return data


Client = Annotated[DagsterClient, Depends(client_of)]
RunId = Annotated[str, Path(pattern=ID, description="The run's id.", examples=["4e2f1c9a-0d5b-4f0e-9a55-1d2f8f0c6a11"])]
Key = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Chosen by the client, new for each run that it wants. The same key with the same body is answered "
        "with the same run, however often it is sent; keys are kept for days.",
        examples=["8c1f3a52"],
    ),
]


@router.post(
    "",
    status_code=202,
    summary="Start a run",
    responses={
        200: {
            "model": Run,
            "description": "A run that does this is under way, or the key was sent before.",
        },
        202: {"description": "The run is queued; Location says where to watch it."},
        **problems(400, 401, 403, 413, 422, 429, 502, 503),
    },
)
def start(
    wanted: Annotated[Wanted, Body()],
    service: Serving,
    dagster: Client,
    who: Operator,
    answer: Response,
    idempotency_key: Key = None,
) -> Run:
    """Start a run, or find the one that does it already."""
    tags = _checked(wanted, service)
    with _in_turn(service):
        request = run_requests.stored_request(service.ledger, who.name, idempotency_key, wanted.model_dump_json())
        if request.body_hash != run_requests.hashed(wanted.model_dump_json()):
            raise Problem(
                422,
                "This Idempotency-Key was sent before with another body.",
                "Choose a new key for a new run, or send the body again as it was.",
                kind="idempotency-key-reused",
            )
        run_id = request.run_id
        if run_id is None:
            run_id = _under_way(wanted, dagster)
            if run_id is not None:
                run_requests.answer(service.ledger, request.request_id, run_id)
        if run_id is None:
            answer.status_code = 202
            run_id = dagster.launch(wanted.job, {**tags, REQUEST_TAG: request.request_id}, wanted.assets or ())
        else:
            answer.status_code = 200
    answer.headers["Location"] = f"/v1/runs/{run_id}"
    return run_of(_found(dagster, run_id), _starter(service, who, run_id))


@router.get("", summary="List runs", responses=problems(401, 422, 429, 502, 503))
def listed(
    service: Serving,
    dagster: Client,
    who: Viewer,
    status: Annotated[
        list[Status] | None, Query(description="Only runs that stand so; may be repeated.", examples=[["running"]])
    ] = None,
    job: Annotated[Job | None, Query(description="Only runs of this job.", examples=["bring_up_to_date"])] = None,
    cursor: Annotated[
        str | None, Query(pattern=ID, description="The next of the page before.", examples=[None])
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_RUNS, description="Runs in a page.", examples=[50])] = USUAL_RUNS,
) -> Runs:
    """Runs of every kind and origin, the newest first."""
    statuses = [theirs for ours in status or () for theirs in OF_DAGSTER[ours]]
    found = dagster.runs(job=job, statuses=statuses, after=cursor, most=limit + 1)
    page = found[:limit]
    starters = _starters(service, who, [run["runId"] for run in page])
    rows = [run_of(run, starters.get(run["runId"])) for run in page]
    return Runs(rows=rows, next=rows[-1].run_id if len(found) > limit else None)


@router.get("/{run_id}", summary="Watch a run", responses=problems(401, 404, 422, 429, 502, 503))
def shown(run_id: RunId, service: Serving, dagster: Client, who: Viewer) -> RunDetails:
    """A run with its progress, its checks, and why it failed where it did."""
    return details_of(_found(dagster, run_id), dagster.events(run_id), _starter(service, who, run_id))


@router.delete(
    "/{run_id}",
    status_code=202,
    summary="End a run",
    responses={
        202: {"description": "The run ends, at the next moment at which nothing is half written."},
        **problems(401, 403, 404, 409, 422, 429, 502, 503),
    },
)
def ended(run_id: RunId, service: Serving, dagster: Client, who: Operator) -> Run:
    """End a run, or take it out of the queue. What it has committed is kept."""
    run = run_of(_found(dagster, run_id))
    if not dagster.terminate(run_id):
        raise Problem(409, f"Run {run_id} is over, or is being ended.", f"See GET /v1/runs/{run_id} for how it ended.")
    with service.ledger.connect() as connection, connection.cursor() as noting:
        what = run.job if run.first_month is None else f"{run.job}, {run.first_month} to {run.last_month}"
        audit_store.record(noting, ENDED, what, who=who.name, via=audit_store.API, run_id=run_id)
    return run_of(_found(dagster, run_id), _starter(service, who, run_id))


def _checked(wanted: Wanted, service: Service) -> dict[str, str]:
    """The tags of the run that is wanted.

    Raises:
        RequestError: it cannot be run; the message says what can.
    """
    if wanted.job is not Job.BRING_UP_TO_DATE:
        if wanted.first or wanted.last or wanted.assets:
            raise RequestError(f"{wanted.job} is about all that is stored.{NEXT_LINE}Leave out from, to and assets.")
        return {}
    unknown = sorted(set(wanted.assets or ()) - {*DAILY_ASSETS})
    if unknown:
        raise RequestError(
            f"There is no asset {unknown[0][:100]} in {wanted.job}.{NEXT_LINE}Send some of: {', '.join(DAILY_ASSETS)}."
        )
    if wanted.first is None or wanted.last is None:
        raise RequestError(
            f"A run of {wanted.job} needs the range that it is about.{NEXT_LINE}"
            'Send from and to, for example {"from": "2024-01-02", "to": "2024-03-28"}.'
        )
    calendar = service.calendar()
    check_within_history(wanted.first, wanted.last, service.settings.start_date, calendar)
    closed = calendar.last_closed()
    if wanted.last > closed:
        raise RequestError(
            f"{wanted.last} lies after the last closed session of {calendar.name}.{NEXT_LINE}Send {closed} as to."
        )
    return range_tags(wanted.first, wanted.last, wanted.last)


def _under_way(wanted: Wanted, dagster: DagsterClient) -> str | None:
    """A run that is queued or runs and does all that is wanted."""
    for found in dagster.runs(job=wanted.job, statuses=UNFINISHED):
        if _covers(run_of(found), wanted):
            return str(found["runId"])
    return None


def _covers(run: Run, wanted: Wanted) -> bool:
    if run.assets is not None and not {*(wanted.assets or DAILY_ASSETS)} <= {*run.assets}:
        return False
    if wanted.first is None or wanted.last is None or run.first_month is None or run.last_month is None:
        return True
    months = run.first_month <= f"{wanted.first:{FORMAT}}" and f"{wanted.last:{FORMAT}}" <= run.last_month
    return months and (run.through is None or run.through >= wanted.last)


_turn = threading.Lock()


@contextmanager
def _in_turn(service: Service) -> Iterator[None]:
    """One request at a time looks whether its run is there and starts it, of all processes."""
    if not _turn.acquire(timeout=PATIENCE):
        raise BusyError(f"Others are starting runs.{NEXT_LINE}Look at GET /v1/runs, then try again.")
    try:
        with service.ledger.exclusive("runs by API"):
            yield
    finally:
        _turn.release()


def _found(dagster: DagsterClient, run_id: str) -> dict[str, Any]:
    found = dagster.run(run_id)
    if found is None:
        raise Problem(404, f"There is no run {run_id}.", "GET /v1/runs lists those that there are.")
    return found


def _starters(service: Service, who: Principal, runs: list[str]) -> dict[str, str | None]:
    """Who started the runs, for operators: viewers see no names."""
    return audit_listing.launched_by(service.ledger, runs) if who.role is Role.OPERATOR else {}


def _starter(service: Service, who: Principal, run_id: str) -> str | None:
    return _starters(service, who, [run_id]).get(run_id)
