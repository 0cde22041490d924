"""The command breadthflow, which also notes what of its time is Dagster's: python from_inside.py FILE command ...

Notes seconds: ``started``, from the start of the process to its first asset; ``run``, of the run and of what is done
for it before and after; ``ours``, of it in the functions of assets and checks, without the events that they store.
The rest of the run is Dagster's bookkeeping.
"""

import inspect
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from dagster._core.execution.plan import compute_generator
from dagster._core.instance import DagsterInstance

from breadthflow_pipelines.cli import main
from breadthflow_pipelines.orchestration import runs

found: dict[str, float] = {}
depth = {"function": 0}


def timed(name: str, work: Callable[..., Any], *, inside: bool) -> Callable[..., Any]:
    """The same work, its seconds added up; inside: only those that a function of an asset or a check waits for."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if inside and not depth["function"]:
            return work(*args, **kwargs)
        began = time.perf_counter()
        try:
            return work(*args, **kwargs)
        finally:
            found[name] = found.get(name, 0.0) + time.perf_counter() - began

    return wrapped


def in_function(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same work, known to be an asset's or a check's."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        found.setdefault("started", time.time() - psutil.Process().create_time())
        depth["function"] += 1
        try:
            result = work(*args, **kwargs)
        finally:
            depth["function"] -= 1
        return in_steps(result) if inspect.isgenerator(result) else result

    return wrapped


def in_steps(results: Iterator[Any]) -> Iterator[Any]:
    """What a check gives one by one, each timed: it does its work when it is asked for the next."""
    step = timed("ours", in_function(lambda: next(results, None)), inside=False)
    while (result := step()) is not None:
        yield result


if __name__ == "__main__":
    target = Path(sys.argv[1])
    runs._execute = timed("run", runs._execute, inside=False)
    DagsterInstance.handle_new_event = timed("stored", DagsterInstance.handle_new_event, inside=True)  # type: ignore[method-assign]
    compute_generator.invoke_compute_fn = timed("ours", in_function(compute_generator.invoke_compute_fn), inside=False)
    try:
        main(sys.argv[2:])
    finally:
        if "run" in found:
            found["ours"] = found.get("ours", 0.0) - found.pop("stored", 0.0)
            target.write_text(json.dumps(found))
