"""Which failures are tried again: only what could not be reached. A second try of anything else fails in the same way.

A retry is requested here and not by a policy on the assets: Dagster applies such a policy to an interrupt as well, and
Ctrl-C would have to be pressed once for every attempt.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import dagster as dg

from breadthflow_pipelines.errors import UnreachableError
from breadthflow_pipelines.observability.disk import full_disk
from breadthflow_pipelines.settings import get_settings

RETRY = dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)

P = ParamSpec("P")
R = TypeVar("R")


def retried_if_unreachable(compute: Callable[P, R]) -> Callable[P, R]:
    """The same computation; where something cannot be reached, another attempt is requested, as RETRY says."""

    @wraps(compute)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return compute(*args, **kwargs)
        except UnreachableError as error:
            if full := full_disk(error, get_settings().home):
                raise full from error
            attempt = dg.OpExecutionContext.get().retry_number + 1
            raise dg.RetryRequested(RETRY.max_retries, RETRY.calculate_delay(attempt)) from error

    return guarded
