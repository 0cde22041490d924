"""Cursors: where a page ended, as text that a client sends back. It fits the same filters and no others."""

import base64
import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from breadthflow_pipelines.api.problems import Problem

_MOST = 2**63


def written(key: Sequence[Any], filters: Mapping[str, Any]) -> str:
    """The cursor behind a key."""
    plain = [value.isoformat() if isinstance(value, dt.date) else value for value in key]
    text = json.dumps([_mark(filters), *plain], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(cursor: str, filters: Mapping[str, Any], kinds: Sequence[type]) -> tuple[Any, ...]:
    """The key that a cursor stands for.

    Raises:
        Problem: 400, it is none of ours, or belongs to other filters.
    """
    try:
        mark, *plain = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        key = tuple(_value(value, kind) for value, kind in zip(plain, kinds, strict=True))
    except (ValueError, TypeError, RecursionError):
        mark, key = None, ()
    if mark != _mark(filters):
        raise Problem(
            400,
            "The cursor does not belong to this request.",
            "Send back next of the page before, with the same filters; or leave cursor out to begin again.",
        )
    return key


def _mark(filters: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(filters, sort_keys=True).encode()).hexdigest()[:8]


def _value(value: object, kind: type) -> Any:
    """A value of that type, that the store can take.

    Raises:
        ValueError: it is none.
    """
    if kind is dt.date and isinstance(value, str):
        return dt.date.fromisoformat(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if kind is int and type(value) is int and -_MOST <= value < _MOST:
        return value
    if kind is str and isinstance(value, str) and value.isprintable():
        return value
    raise ValueError(value)
