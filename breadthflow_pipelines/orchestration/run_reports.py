"""How a run went, for the command that made it: rows by asset, results of checks, what could not be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import dagster as dg

from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.orchestration.check_results import NEXT, WHAT
from breadthflow_pipelines.orchestration.execution import Executed
from breadthflow_pipelines.orchestration.run_figures import (
    BarsFigures,
    NothingRead,
    OutcomeFigures,
    RowCounts,
    RowsRead,
    figures_by_asset,
)
from breadthflow_pipelines.orchestration.step_failures import step_failure


@dataclass(frozen=True)
class CheckOutcome:
    """One asset check's result: ``status`` is passed, failed, warned or skipped; ``detail`` is one line."""

    asset: str
    name: str
    status: str
    detail: str = ""


@dataclass(frozen=True)
class RunReport:
    """How a run went. figures: rows read, inserted, ... by asset. trouble: the error that ended it, if one did."""

    run_id: str
    seconds: float
    figures: Mapping[str, Mapping[str, int]]
    checks: tuple[CheckOutcome, ...]
    trouble: BreadthFlowError | None = None
    problems: tuple[str, ...] = field(default=())
    restated: int = 0  # securities whose whole history was stored again
    outcomes_revised: int = 0  # closed outcomes that are others than before

    @property
    def rows_changed(self) -> int:
        """Rows of the store that are not what they were before."""
        changes = ("rows_inserted", "rows_revised", "rows_removed")
        return sum(figures.get(name, 0) for figures in self.figures.values() for name in changes)

    @property
    def exit_status(self) -> int:
        """0, or why the command ends with something else."""
        if self.trouble is not None:
            return self.trouble.exit_status
        return 1 if any(check.status == "failed" for check in self.checks) else 0


def report_of(executed: Executed, seconds: float) -> RunReport:
    """The report of a run that is over."""
    rows: dict[str, Mapping[str, int]] = {}
    problems: list[str] = []
    restated = outcomes_revised = 0
    for asset, figures in figures_by_asset(executed.events).items():
        if isinstance(figures, RowCounts):
            rows[asset] = figures.row_counts()
        if isinstance(figures, RowsRead | NothingRead):
            problems += figures.problems
        if isinstance(figures, BarsFigures):
            restated = figures.securities_restated
        if isinstance(figures, OutcomeFigures):
            outcomes_revised = figures.closed_outcomes_revised
    checks = tuple(
        _outcome(event.asset_check_evaluation_data)
        for event in executed.events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    )
    return RunReport(
        executed.run.run_id,
        seconds,
        rows,
        checks,
        _trouble(executed),
        tuple(problems),
        restated,
        outcomes_revised,
    )


def _outcome(evaluation: dg.AssetCheckEvaluation) -> CheckOutcome:
    bad = "failed" if evaluation.severity == dg.AssetCheckSeverity.ERROR else "warned"
    texts = [str(evaluation.metadata[name].value) for name in (WHAT, NEXT) if name in evaluation.metadata]
    return CheckOutcome(
        evaluation.asset_key.to_user_string(),
        evaluation.check_name,
        "passed" if evaluation.passed else bad,
        ". Next: ".join(texts),
    )


def _trouble(executed: Executed) -> BreadthFlowError | None:
    """The error that ended the run; None where a blocking check did, whose result says it all."""
    if executed.run.is_success:
        return None
    failures = [step_failure(event) for event in executed.events if event.is_step_failure]
    if not failures:
        return BreadthFlowError("The run ended before it was done; run it again to go on.")
    return next((failure.as_error() for failure in failures if not failure.is_failed_check), None)
