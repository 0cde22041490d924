"""The live page's runs: which there were, starting one, watching it, ending it. What a run is: routes/runs.py."""

import datetime as dt
import secrets
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import ValidationError

import breadthflow_pipelines.api.routes.runs as runs
from breadthflow_pipelines.api.access import Operator, Viewer
from breadthflow_pipelines.api.page.answers import PageRoute, frame
from breadthflow_pipelines.api.page.forms import Fields
from breadthflow_pipelines.api.page.rendering import HEADERS, answer
from breadthflow_pipelines.api.problems import Problem
from breadthflow_pipelines.api.run_views import ENDED, Run
from breadthflow_pipelines.api.service import Serving
from breadthflow_pipelines.model.vocabulary import Role
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.warehouse.screen_listing import standings

router = APIRouter(prefix="/runs", route_class=PageRoute, include_in_schema=False)

SHOWN = 25
LONGEST_KEY = 100
ABOUT = {
    runs.Job.BRING_UP_TO_DATE: "Fetch and compute the months of these days",
    runs.Job.RUN_CHECKS: "Judge everything that is stored",
    runs.Job.RERUN_EVENTS: "Find every rule's events again; takes minutes",
}


@router.get("")
def listed(
    request: Request, service: Serving, dagster: runs.Client, who: Viewer, cursor: str | None = None
) -> HTMLResponse:
    """The newest runs, and for operators the form that starts one."""
    found = runs.listed(service, dagster, who, cursor=cursor, limit=SHOWN)
    settings = service.settings
    closed = exchange_calendar(settings.calendar, settings.calendar_changes).last_closed()
    return answer(
        "runs.html",
        frame=frame(request, who, standings(service.store)),
        runs=[_told(run) for run in found.rows],
        older=found.next,
        may_start=who.role is Role.OPERATOR,
        jobs=ABOUT,
        first=closed.replace(day=1),
        last=closed,
        key=secrets.token_hex(8),
    )


@router.post("")
def start(service: Serving, dagster: runs.Client, who: Operator, fields: Fields) -> RedirectResponse:
    """Start a run, and go where it can be watched; the form's key makes two clicks one run."""
    of_range = fields.get("job") == runs.Job.BRING_UP_TO_DATE
    days = {name: fields[name] for name in ("from", "to") if fields.get(name) and of_range}
    try:
        wanted = runs.Wanted.model_validate({"job": fields.get("job"), **days})
    except ValidationError as error:
        wrong = "; ".join(f"{each['loc'][-1]}: {each['msg']}" for each in error.errors())
        raise Problem(422, wrong, "Go back and correct it.") from None
    key = f"{fields['key'][:LONGEST_KEY]}-{wanted.job}-{wanted.first}-{wanted.last}" if fields.get("key") else None
    run = runs.start(wanted, service, dagster, who, Response(), key)
    return RedirectResponse(f"/runs/{run.run_id}", HTTPStatus.SEE_OTHER, HEADERS)


@router.get("/{run_id}")
def shown(request: Request, run_id: runs.RunId, service: Serving, dagster: runs.Client, who: Viewer) -> HTMLResponse:
    """A run as it is now: how far it has come, what its checks say, why it failed."""
    run = runs.shown(run_id, service, dagster, who)
    return answer(
        "run.html",
        frame=frame(request, who, standings(service.store)),
        run=_told(run),
        ended=run.status in ENDED,
        may_end=who.role is Role.OPERATOR and run.status not in (*ENDED, "canceling"),
    )


@router.post("/{run_id}/end")
def end(run_id: runs.RunId, service: Serving, dagster: runs.Client, who: Operator, _fields: Fields) -> RedirectResponse:
    """End a run, or take it out of the queue."""
    runs.ended(run_id, service, dagster, who)
    return RedirectResponse(f"/runs/{run_id}", HTTPStatus.SEE_OTHER, HEADERS)


def _told(run: Run) -> dict[str, Any]:
    """A run, with its months and how long it took in words."""
    return {**dict(run), "months": _months(run), "took": _took(run)}


def _months(run: Run) -> str:
    """The months that a run is about."""
    if run.first_month is None:
        return "all of history"
    return run.first_month if run.first_month == run.last_month else f"{run.first_month} to {run.last_month}"


def _took(run: Run) -> str:
    """How long a run took, or has taken so far."""
    if run.started_at is None:
        return "-"
    seconds = round(((run.ended_at or dt.datetime.now(dt.UTC)) - run.started_at).total_seconds())
    minutes, rest = divmod(max(seconds, 0), 60)
    told = f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return told if run.ended_at else f"{told} so far"
