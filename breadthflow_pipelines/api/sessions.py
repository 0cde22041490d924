"""Sessions of the page: a browser that has shown a token holds a cookie instead of it. The store has hashes of them.

A session ends after its hours, when it is logged out of, and when its token is revoked or expires. Its cookie is not
sent along with requests that other sites make, and a request that changes something has to come from the page itself.
"""

import hashlib
import secrets
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from breadthflow_pipelines.api.access import Principal
from breadthflow_pipelines.api.problems import Problem
from breadthflow_pipelines.api.service import Service
from breadthflow_pipelines.api.tokens import holder_of_id
from breadthflow_pipelines.warehouse import session_store

HOURS = 12
COOKIE = "breadthflow"
HARMLESS = ("GET", "HEAD", "OPTIONS")


def session_principal(request: Request, service: Service) -> Principal | None:
    """Whoever is logged in; None where nobody is, or not any more.

    Raises:
        Problem: 403, another site's page asked to change something.
    """
    held = request.cookies.get(_cookie(request))
    if held is None:
        return None
    token_id = session_store.token_of(service.ledger, _hash(held))
    found = None if token_id is None else holder_of_id(service, token_id)
    if found is not None and request.method not in HARMLESS:
        refuse_other_sites(request)
    return found


def begin(request: Request, service: Service, token_id: str, answer: Response) -> None:
    """Begin a session, whose cookie goes with the answer."""
    held = secrets.token_urlsafe(32)
    session_store.begin(service.ledger, _hash(held), token_id, HOURS)
    secure = _is_secure(request)
    answer.set_cookie(
        _cookie(request), held, max_age=3600 * HOURS, path="/", secure=secure, httponly=True, samesite="strict"
    )


def end(request: Request, service: Service, answer: Response) -> None:
    """End the request's session, if it has one."""
    held = request.cookies.get(_cookie(request))
    if held is not None:
        session_store.end(service.ledger, _hash(held))
    answer.delete_cookie(_cookie(request), path="/", secure=_is_secure(request), httponly=True, samesite="strict")


def refuse_other_sites(request: Request) -> None:
    """Let pass what the page itself sends.

    Raises:
        Problem: 403, it comes from elsewhere, or does not say from where.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = origin is not None and urlsplit(origin).netloc == request.headers.get("host")
    if not (site == "same-origin" if site is not None else own):
        raise Problem(403, "Only the page itself may send that.", "Open the page here, and send it from there.")


def _is_secure(request: Request) -> bool:
    """Whether the browser came over TLS; what trusted proxies say of that, the server has put there (server.py)."""
    return request.url.scheme == "https"


def _cookie(request: Request) -> str:
    """Its name; browsers keep one of this prefix only if it came over TLS, and for this host alone."""
    return f"__Host-{COOKIE}" if _is_secure(request) else COOKIE


def _hash(held: str) -> str:
    """256 random bits need no slow hash."""
    return hashlib.sha256(held.encode()).hexdigest()
