"""Who asks, and whether they may: viewers read, operators also run. Tokens are kept by warehouse/token_store.py.

A way in is a function from a request to whoever it is, or None where the request does not use it (app.py lists them).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Request

from breadthflow_pipelines.api.problems import Problem
from breadthflow_pipelines.api.service import Service, Serving


class Role(StrEnum):
    """What somebody may do: viewers read; operators read, and start and end runs."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Principal:
    """Whoever asks. name: as the audit has it; None where nobody has to say."""

    name: str | None
    role: Role


WayIn = Callable[[Request, Service], Principal | None]

EVERYBODY = Principal(None, Role.OPERATOR)


def principal_of(request: Request, service: Serving) -> Principal:
    """Who asks.

    Raises:
        Problem: 401, nobody that the API knows.
    """
    if service.open:
        return EVERYBODY
    ways: tuple[WayIn, ...] = request.app.state.ways_in
    for way in ways:
        found = way(request, service)
        if found is not None:
            return found
    raise Problem(
        401,
        "The request names no token.",
        "Send the header Authorization: Bearer TOKEN. An administrator makes one: breadthflow token create NAME",
        headers={"WWW-Authenticate": "Bearer"},
    )


Viewer = Annotated[Principal, Depends(principal_of)]


def operator_of(who: Viewer) -> Principal:
    """Who asks, if an operator.

    Raises:
        Problem: 403, a viewer.
    """
    if who.role is not Role.OPERATOR:
        raise Problem(
            403,
            f"{who.name} is a viewer, and only operators do that.",
            "Use an operator's token: breadthflow token create NAME --role operator",
        )
    return who


Operator = Annotated[Principal, Depends(operator_of)]
