"""Tokens: how one is made, and whether one that comes with a request is valid. The store keeps only hashes of them.

A token is ``bft_<id>_<secret>``: the id finds its row, the secret is 256 random bits. So the hash needs to withstand no
guessing of words, and costs milliseconds. A secret that was right once is remembered by its digest in this process;
that its token is still valid is asked of the store by every request, so that a revocation holds at once.
"""

import datetime as dt
import hashlib
import re
import secrets
import threading
import time
from collections import OrderedDict

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from fastapi import Request

from breadthflow_pipelines.api.access import Principal, refused
from breadthflow_pipelines.api.service import Service
from breadthflow_pipelines.model.vocabulary import Role
from breadthflow_pipelines.warehouse import token_store
from breadthflow_pipelines.warehouse.database import Database

PREFIX = "bft"
_TOKEN = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([\w-]{{43}})", re.ASCII)
_HASHER = PasswordHasher(time_cost=2, memory_cost=8 * 1024, parallelism=1)
REMEMBERED = 1000  # secrets
NOTE_EVERY = 60.0  # seconds between two notes that a token was used


def create(database: Database, name: str, role: Role, expires_at: dt.datetime | None, by: str) -> str:
    """Make a token for somebody; the text is nowhere but in what this returns. by: who makes it."""
    token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    token_store.add(database, token_id, name, role, _HASHER.hash(secret), expires_at, by)
    return f"{PREFIX}_{token_id}_{secret}"


def token_principal(request: Request, service: Service) -> Principal | None:
    """Whoever holds the token in the header Authorization; None where there is no such header.

    Raises:
        Problem: 401, the token is not one, or not valid any more.
    """
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, text = header.partition(" ")
    found = holder(service, text.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        raise refused("The token in the header Authorization is not valid: unknown, expired or revoked.")
    return found


def holder(service: Service, token: str) -> Principal | None:
    """Whose token it is, if it is valid."""
    parts = _TOKEN.fullmatch(token)
    if parts is None:
        return None
    known = token_store.valid(service.ledger, parts[1])
    if known is None or not _known.is_right(parts[2], known.secret_hash):
        return None
    return _let_in(service, known)


def holder_of_id(service: Service, token_id: str) -> Principal | None:
    """Whose token has that id, if it is valid still: for who has shown the whole token before."""
    known = token_store.valid(service.ledger, token_id)
    return None if known is None else _let_in(service, known)


def _let_in(service: Service, known: token_store.Token) -> Principal:
    if _known.is_to_be_noted(known.token_id):
        token_store.note_use(service.ledger, known.token_id)
    return Principal(known.held_by, Role(known.role), known.token_id)


class _Known:
    """What this process remembers of tokens: digests of right secrets by their hashes, and when each was last noted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._right: OrderedDict[bytes, str] = OrderedDict()
        self._noted: OrderedDict[str, float] = OrderedDict()

    def is_right(self, secret: str, secret_hash: str) -> bool:
        digest = hashlib.sha256(secret.encode()).digest()
        with self._lock:
            if self._right.get(digest) == secret_hash:
                self._right.move_to_end(digest)
                return True
        try:
            _HASHER.verify(secret_hash, secret)
        except (VerificationError, InvalidHashError):
            return False
        with self._lock:
            self._right[digest] = secret_hash
            while len(self._right) > REMEMBERED:
                self._right.popitem(last=False)
        return True

    def is_to_be_noted(self, token_id: str) -> bool:
        now = time.monotonic()
        with self._lock:
            if now - self._noted.get(token_id, -NOTE_EVERY) < NOTE_EVERY:
                return False
            self._noted[token_id] = now
            while len(self._noted) > REMEMBERED:
                self._noted.popitem(last=False)
        return True


_known = _Known()
