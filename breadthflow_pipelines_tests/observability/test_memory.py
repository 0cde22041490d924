"""What NumPy's arrays had goes back to the machine, whichever threads made them, in every process that makes runs."""

import sys

import pytest

from breadthflow_pipelines_tests.conftest import start_python

# Each thread makes eight arrays of a megabyte, as the parts of a backtest do, while the others hold theirs.
THREADS_WITH_ARRAYS = """
import sys, threading
import numpy as np, psutil
from breadthflow_pipelines.observability.memory import give_back

if sys.argv[1] == "one heap":
    import breadthflow_pipelines.orchestration
np.ones(4_000_000)  # from now on arrays of that size come out of heaps
together = threading.Barrier(8)
def work():
    arrays = [np.ones(131_072) for _ in range(8)]
    together.wait()
    del arrays
def megabytes():
    return psutil.Process().memory_full_info().uss / 2**20
before = megabytes()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
give_back()
print(megabytes() - before)
"""


def kept(way: str) -> float:
    """Megabytes that a process keeps of the 64 that its threads had and let go of."""
    with start_python(THREADS_WITH_ARRAYS, way) as process:
        said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return float(said)


@pytest.mark.skipif(sys.platform != "linux", reason="another C library")
def test_threads_that_share_a_heap_leave_nothing_behind() -> None:
    assert kept("a heap each") > 30  # or this says nothing
    assert kept("one heap") < 8
