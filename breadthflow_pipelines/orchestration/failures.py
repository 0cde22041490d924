"""Which failures are worth another try. Only what could not be reached is: a rerun of anything else asks the same."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import dagster as dg

from breadthflow_pipelines.errors import UnreachableError

RETRY = dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)

P = ParamSpec("P")
R = TypeVar("R")


def retried_if_unreachable(compute: Callable[P, R]) -> Callable[P, R]:
    """Let RETRY see only failures that another attempt may not meet; the others end the step at once."""

    @wraps(compute)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return compute(*args, **kwargs)
        except UnreachableError:
            raise
        except Exception as error:
            raise dg.Failure(str(error), allow_retries=False) from error

    return guarded
