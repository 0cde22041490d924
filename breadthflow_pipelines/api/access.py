"""Who asks, and whether they may: viewers read, operators also start and end runs. Tokens: tokens.py.

A way in is a function from a request to whoever it is, or None where the request does not use it (app.py lists them).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from breadthflow_pipelines.api.limits import Limits
from breadthflow_pipelines.api.problems import Problem
from breadthflow_pipelines.api.service import Service, Serving
from breadthflow_pipelines.model.vocabulary import Role
from breadthflow_pipelines.other_sites import LOOPBACK, names_this_machine, of_another_site


@dataclass(frozen=True)
class Principal:
    """Whoever asks. name: as the audit has it; token_id: of the token by which they came in; None without one."""

    name: str | None
    role: Role
    token_id: str | None = None


WayIn = Callable[[Request, Service], Principal | None]

EVERYBODY = Principal(None, Role.OPERATOR)
_SCHEME = HTTPBearer(auto_error=False, description="A token of `breadthflow token create NAME`.")


def refused(detail: str) -> Problem:
    """The refusal of somebody whom the API does not know."""
    return Problem(
        401,
        detail,
        "Send the header Authorization: Bearer TOKEN. An administrator makes one: breadthflow token create NAME",
        headers={"WWW-Authenticate": "Bearer"},
    )


def principal_of(request: Request, service: Serving) -> Principal:
    """Who asks.

    Raises:
        Problem: 401, nobody that the API knows; 403, it is open and the request is no program's of this machine; 429,
            too many requests.
    """
    limits: Limits = request.app.state.limits
    limits.arrives(request)
    if service.open:
        _refuse_strangers(request)
        return EVERYBODY
    ways: tuple[WayIn, ...] = request.app.state.ways_in
    try:
        found = next((who for way in ways if (who := way(request, service)) is not None), None)
    except Problem:
        limits.was_refused(request)
        raise
    if found is None:
        raise refused("The request names no token.")
    if found.token_id is not None:
        limits.is_of(found.token_id)
    return found


def _refuse_strangers(request: Request) -> None:
    """Refuse what comes through a proxy, or from another site's page in a browser of this machine."""
    headers = request.headers
    forwarded = [name for name in ("forwarded", "x-forwarded-for", "x-real-ip") if name in headers]
    if forwarded or not names_this_machine(headers) or of_another_site(headers):
        raise Problem(
            403,
            "This API asks nobody for a token, so it answers only programs and pages of its own machine.",
            f"Ask it at http://{LOOPBACK[0]}, or start it without --open and send a token.",
        )


# What waits for nothing is a coroutine, and needs no other thread (service.py says why).
async def viewer_of(
    who: Annotated[Principal, Depends(principal_of)], _scheme: Annotated[object, Depends(_SCHEME)]
) -> Principal:
    """Who asks: everybody whom the API knows may read."""
    return who


Viewer = Annotated[Principal, Depends(viewer_of)]


async def operator_of(who: Viewer) -> Principal:
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
