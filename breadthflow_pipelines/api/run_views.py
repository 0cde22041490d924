"""Runs as the API shows them, from what Dagster's webserver says of them (dagster_client.py). Asks nobody."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field

from breadthflow_pipelines.errors import in_words
from breadthflow_pipelines.model.datasets import DATASETS
from breadthflow_pipelines.model.run_tags import THROUGH_TAG, months_of
from breadthflow_pipelines.model.vocabulary import Severity

Status = Literal["queued", "starting", "running", "canceling", "success", "failure", "canceled"]
STATUSES: tuple[Status, ...] = get_args(Status)
ENDED: tuple[Status, ...] = ("success", "failure", "canceled")
# By the API's word, Dagster's.
OF_DAGSTER: Mapping[Status, Sequence[str]] = {
    "queued": ("QUEUED",),
    "starting": ("NOT_STARTED", "STARTING"),
    "running": ("STARTED",),
    "canceling": ("CANCELING",),
    "success": ("SUCCESS",),
    "failure": ("FAILURE",),
    "canceled": ("CANCELED",),
}
_OURS = {theirs: ours for ours, names in OF_DAGSTER.items() for theirs in names}
LONGEST = 500  # characters of why something failed
_ROWS = ("rows_inserted", "rows_revised", "rows_removed")


class Run(BaseModel):
    """A run, whoever started it."""

    run_id: str = Field(
        description="Its id, the same as in Dagster's UI.", examples=["4e2f1c9a-0d5b-4f0e-9a55-1d2f8f0c6a11"]
    )
    job: str = Field(description="What is run.", examples=["bring_up_to_date"])
    status: Status = Field(description="How it stands.", examples=["running"])
    first_month: str | None = Field(
        description="The first month that it is about, YYYY-MM; null: it is about all of history.", examples=["2024-01"]
    )
    last_month: str | None = Field(description="The last month, YYYY-MM; null as above.", examples=["2024-03"])
    through: dt.date | None = Field(
        description="The last session that it sees; null: the last one that has closed.", examples=["2024-03-28"]
    )
    assets: list[str] | None = Field(description="The assets that it makes; null: all of the job.", examples=[None])
    requested_at: dt.datetime = Field(description="When it was made.", examples=["2024-03-28T22:30:00Z"])
    started_at: dt.datetime | None = Field(
        description="When it began; null: it has not.", examples=["2024-03-28T22:30:04Z"]
    )
    ended_at: dt.datetime | None = Field(
        description="When it ended; null: it has not.", examples=["2024-03-28T22:31:10Z"]
    )
    retry_of: str | None = Field(description="The run that it runs again; null: none.", examples=[None])
    started_by: str | None = Field(
        description="Who started it; null: nobody is known, a schedule did, or a viewer asks.", examples=["alice"]
    )


class Runs(BaseModel):
    """A page of runs."""

    rows: list[Run] = Field(description="Runs, the newest first.")
    next: str | None = Field(
        description="What to send as cursor for the next page; null: this is the last one.", examples=[None]
    )


class AssetProgress(BaseModel):
    """What a run has made of an asset so far."""

    asset: str = Field(description="The asset.", examples=["bars"])
    months: int = Field(description="Months of it that were made; 0 of an asset without months.", examples=[3])
    rows_inserted: int | None = Field(description="Rows that are new; null: it stores none.", examples=[1260])
    rows_revised: int | None = Field(description="Rows that changed; null as above.", examples=[0])
    rows_removed: int | None = Field(description="Rows that went; null as above.", examples=[0])


class Progress(BaseModel):
    """How far a run has come."""

    steps: int | None = Field(description="Steps that it has in all; null: not planned yet.", examples=[61])
    steps_done: int = Field(description="Steps that are done.", examples=[12])
    steps_failed: int = Field(description="Steps that failed.", examples=[0])
    now: list[str] = Field(description="Steps that are being worked on: assets and checks.", examples=[["bars"]])
    made: list[AssetProgress] = Field(description="Assets that were made so far, in that order.")


class Check(BaseModel):
    """What a check of a run said."""

    asset: str = Field(description="The asset that was checked.", examples=["bars"])
    check: str = Field(description="The check.", examples=["no_session_missing"])
    passed: bool = Field(description="Whether it passed.", examples=[True])
    severity: Severity = Field(description="What it means if it did not.", examples=["error"])
    said: str | None = Field(description="What it found, in words; null: nothing.", examples=["no session is missing"])


class RunDetails(Run):
    """A run with its progress, its checks and why it failed."""

    progress: Progress = Field(description="How far it has come.")
    checks: list[Check] = Field(description="The checks that have judged, those that failed first.")
    why: list[str] = Field(description="Why it failed, in words; empty: it did not.", examples=[[]])


def run_of(found: Mapping[str, Any], started_by: str | None = None) -> Run:
    """A run as the webserver lists it."""
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    first, last = months_of(tags) or (None, None)
    assets = found["assetSelection"]
    return Run(
        run_id=found["runId"],
        job=found["jobName"],
        status=_OURS[found["status"]],
        first_month=first,
        last_month=last,
        through=dt.date.fromisoformat(tags[THROUGH_TAG]) if THROUGH_TAG in tags else None,
        assets=sorted("/".join(key["path"]) for key in assets) if assets else None,
        requested_at=_moment(found["creationTime"]),
        started_at=_moment(found["startTime"]),
        ended_at=_moment(found["endTime"]),
        retry_of=found["parentRunId"],
        started_by=started_by,
    )


def details_of(found: Mapping[str, Any], events: Iterable[Mapping[str, Any]], started_by: str | None) -> RunDetails:
    """A run with what its events say."""
    run = run_of(found, started_by)
    planned = found["stepKeysToExecute"] or [step["key"] for step in (found["executionPlan"] or {}).get("steps", ())]
    steps: dict[str, str] = {}
    made: dict[str, AssetProgress] = {}
    checks: dict[tuple[str, str], Check] = {}
    why: list[str] = []
    for event in events:
        kind = event["__typename"]
        if kind in _STEPS:
            steps[event["stepKey"]] = _STEPS[kind]
        if kind == "MaterializationEvent":
            _count(made, event)
        elif kind == "AssetCheckEvaluationEvent":
            check = _check(event["evaluation"])
            checks[check.asset, check.check] = check
        elif kind in ("ExecutionStepFailureEvent", "RunFailureEvent"):
            why += [reason for reason in (_reason(event),) if reason not in ("", *why)]
    states = list(steps.values())
    progress = Progress(
        steps=len(planned) or None,
        steps_done=states.count("done"),
        steps_failed=states.count("failed"),
        now=[step for step, state in steps.items() if state == "begun"] if run.status not in ENDED else [],
        made=list(made.values()),
    )
    ordered = sorted(checks.values(), key=lambda check: (check.passed, check.severity))
    return RunDetails(**run.model_dump(), progress=progress, checks=ordered, why=why)


_STEPS = {
    "ExecutionStepStartEvent": "begun",
    "ExecutionStepSuccessEvent": "done",
    "ExecutionStepSkippedEvent": "done",
    "ExecutionStepFailureEvent": "failed",
}


def _count(made: dict[str, AssetProgress], event: Mapping[str, Any]) -> None:
    """Add a materialization, of a month or of the whole, to what is known of its asset."""
    asset = "/".join(event["assetKey"]["path"])
    stored = asset in DATASETS and DATASETS[asset].table
    nothing = AssetProgress(asset=asset, months=0, **dict.fromkeys(_ROWS, 0 if stored else None))
    before = made.get(asset, nothing)
    numbers = {entry["label"]: entry["intValue"] for entry in event["metadataEntries"] if "intValue" in entry}
    added = {name: getattr(before, name) + (numbers.get(name) or 0) for name in _ROWS} if stored else {}
    made[asset] = before.model_copy(update={"months": before.months + (event["partition"] is not None), **added})


def _check(found: Mapping[str, Any]) -> Check:
    said = {entry["label"]: entry.get("text") for entry in found["metadataEntries"]}
    return Check(
        asset="/".join(found["assetKey"]["path"]),
        check=found["checkName"],
        passed=found["success"],
        severity=found["severity"].lower(),
        said=said.get("what"),
    )


def _reason(event: Mapping[str, Any]) -> str:
    """The innermost cause, in its first lines: what raised it says what is wrong, and what to do."""
    error = event["error"]
    if error is None:
        return in_words(str(event.get("message") or ""))[:LONGEST]
    return in_words((error["causes"] or [error])[-1]["message"])[:LONGEST]


def _moment(seconds: float | None) -> Any:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)
