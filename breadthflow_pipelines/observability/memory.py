"""Gives memory that is free back to the machine. Who uses it, assets know."""

import ctypes
from functools import lru_cache


def give_back() -> None:
    """Let go of the pages that are free inside the process, where its C library can do that.

    glibc keeps what NumPy's arrays had, for each thread by itself; after some assets that is half of the process.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@lru_cache(1)
def _trim() -> "ctypes._NamedFuncPointer | None":
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):  # another C library, another system
        return None
