"""Code servers that are reached by TCP, as in containers: whether one runs a run.

Its runs are processes of its own container, which nobody else can see and which end with it: compose.yaml starts the
server as the container's only program. So a server that is gone has no runs (docs/decisions/serving.md).
"""

import time
from collections.abc import Mapping

import dagster as dg
import grpc
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

ASK_SECONDS = 10
GONE_AFTER = 40.0  # seconds in which nothing listens there; a restart takes some 15


class CodeServers:
    """Asks them, and remembers since when nothing listens where one was."""

    def __init__(self) -> None:
        self._absent_since: dict[str, float] = {}

    def run(self, server: Mapping[str, object], run: dg.DagsterRun) -> bool | None:
        """Whether it executes that run; None where that is unknown: it is busy, or has been away for a short time only.

        server: as Dagster writes it down with a run: host, port, use_ssl.
        """
        if run.status is dg.DagsterRunStatus.CANCELING:
            return None  # it says no as soon as it was asked to stop
        address = f"{server.get('host')}:{server.get('port')}"
        client = DagsterGrpcClient(**server)  # type: ignore[arg-type]
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=ASK_SECONDS)
        except DagsterUserCodeUnreachableError as error:
            return self._is_gone(address, error.__cause__)
        self._absent_since.pop(address, None)
        return deserialize_value(answer, CanCancelExecutionResult).can_cancel

    def _is_gone(self, address: str, cause: BaseException | None) -> bool | None:
        if not isinstance(cause, grpc.RpcError) or cause.code() is not grpc.StatusCode.UNAVAILABLE:
            self._absent_since.pop(address, None)
            return None  # something listens, and does not answer in time
        since = self._absent_since.setdefault(address, time.monotonic())
        return False if time.monotonic() - since >= GONE_AFTER else None
