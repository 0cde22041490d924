"""How often somebody may ask: a token in a minute, an address in a minute, an address whose tokens are wrong.

Counted in this process; a deployment of several has that many times as much.
"""

import ipaddress
import math
import time

from fastapi import Request
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from breadthflow_pipelines.api.problems import Problem

OF_ADDRESS = 10  # times as much as a token: many people may share an address
REFUSALS = 30  # wrong tokens a minute from an address


class Limits:
    """The limits of one application, and what was used of them. rate: requests a minute of one token."""

    def __init__(self, rate: int) -> None:
        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._token, self._address = RateLimitItemPerMinute(rate), RateLimitItemPerMinute(rate * OF_ADDRESS)
        self._refusals = RateLimitItemPerMinute(REFUSALS)

    def arrives(self, request: Request) -> None:
        """A request came from its address.

        Raises:
            Problem: 429, too many did, or too many with wrong tokens.
        """
        address = address_of(request)
        if not self._counter.test(self._refusals, "refused", address):
            raise self._too_many(self._refusals, "refused", address, f"{REFUSALS} wrong tokens")
        self._take(self._address, "address", address, f"{self._address.amount} requests from this address")

    def is_of(self, token_id: str) -> None:
        """The request is of a token.

        Raises:
            Problem: 429, it was used too often.
        """
        self._take(self._token, "token", token_id, f"{self._token.amount} requests with this token")

    def was_refused(self, request: Request) -> None:
        """The request's token was wrong."""
        self._counter.hit(self._refusals, "refused", address_of(request))

    def _take(self, limit: RateLimitItem, *kind_and_whose: str) -> None:
        kind, whose, what = kind_and_whose
        if not self._counter.hit(limit, kind, whose):
            raise self._too_many(limit, kind, whose, what)

    def _too_many(self, limit: RateLimitItem, kind: str, whose: str, what: str) -> Problem:
        reset = self._counter.get_window_stats(limit, kind, whose).reset_time
        seconds = min(max(math.ceil(reset - time.time()), 1), 60)
        return Problem(
            429,
            f"There were more than {what} within a minute.",
            f"Wait {seconds} seconds. Ask for more rows at a time, and send If-None-Match with what you have.",
            headers={"Retry-After": str(seconds)},
        )


def address_of(request: Request) -> str:
    """Where a request comes from; of an IPv6 address its network, as each of its machines has as many as it likes."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a socket without an address
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host
