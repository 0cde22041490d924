"""Keeps a process as small as what it holds: its C library keeps free memory otherwise. Who uses it, assets know."""

import ctypes
from functools import lru_cache

_MOST_HEAPS = -8  # M_ARENA_MAX in glibc's malloc.h


def share_one_heap() -> None:
    """Let all threads of this process use one heap, where its C library can do that; call it before they begin.

    glibc gives threads up to eight heaps for each core, and keeps what is free at the end of each: some 20 MB with
    NumPy's arrays, so that a process grew by 300 MB over its first twenty runs.
    """
    limit = _of_c_library("mallopt")
    if limit is not None:
        limit(_MOST_HEAPS, 1)


def give_back() -> None:
    """Let go of the pages that are free inside the process, where its C library can do that.

    glibc keeps what NumPy's arrays had; after some assets that is half of the process.
    """
    trim = _of_c_library("malloc_trim")
    if trim is not None:
        trim(0)


@lru_cache(2)
def _of_c_library(function: str) -> "ctypes._NamedFuncPointer | None":
    """None in another C library, or on another system."""
    try:
        found: ctypes._NamedFuncPointer = getattr(ctypes.CDLL(None), function)
    except (AttributeError, OSError):
        return None
    return found
