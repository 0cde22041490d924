"""Throttling of requests to a vendor: rate, budget per run, and waits between attempts. Sends nothing itself."""

import datetime as dt
import random
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

BURST = 5.0  # requests that may follow each other at once after a pause
FIRST_WAIT = 2.0  # seconds before the second attempt; each further one waits twice as long
LONGEST_BACKOFF = 60.0  # seconds
LONGEST_WAIT = 300.0  # seconds; if a vendor wants more, the run stops asking and a later one continues


_at_random = random.SystemRandom().random  # so that many machines do not wait for the same time


class StopAskingError(Exception):
    """No more requests in this run; the message is the reason and what to do, without a full stop."""


class Throttle:
    """A token bucket, a budget, and waits between attempts.

    rate: requests per second in the long run. budget: requests until ``begin`` is called again. clock: seconds that
    only rise. jitter: random numbers from 0 to 1. Tests replace clock, sleep and jitter.
    """

    def __init__(
        self,
        rate: float,
        budget: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = _at_random,
    ) -> None:
        self.rate = rate
        self.budget = budget
        self.left = budget
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._tokens = BURST
        self._filled = clock()

    def begin(self) -> None:
        """Start a new run with a full budget."""
        self.left = self.budget

    def ask(self) -> None:
        """Wait until one more request may be sent, and count it.

        Raises:
            StopAskingError: the budget of this run is spent.
        """
        if self.left <= 0:
            raise StopAskingError(
                f"the budget of {self.budget} requests is spent; run again for the rest, "
                "or raise BREADTHFLOW_REQUEST_BUDGET"
            )
        self.left -= 1
        self._fill()
        if self._tokens < 1:
            self._sleep((1 - self._tokens) / self.rate)
            self._fill()
        self._tokens -= 1

    def rest(self, attempt: int, wanted: float | None = None) -> None:
        """Wait before another attempt: as long as the vendor asks for, else twice as long each time, with jitter.

        attempt: 0 after the first one failed. wanted: seconds that the vendor asked for.

        Raises:
            StopAskingError: the vendor wants a longer pause than a run should wait for.
        """
        if wanted is None:
            wait = min(LONGEST_BACKOFF, FIRST_WAIT * 2**attempt) * (0.5 + self._jitter() / 2)
        elif wanted > LONGEST_WAIT:
            raise StopAskingError(f"it asks for no requests for {wanted:.0f} seconds; run again after that")
        else:
            wait = wanted
        self._sleep(wait)

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * self.rate)
        self._filled = now


def retry_after(header: str | None, now: dt.datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, never negative; None without a readable one.

    header: seconds or an HTTP date (RFC 9110, section 10.2.3). now: UTC; the present by default.
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=dt.UTC)
    return max(0.0, (until - (now or dt.datetime.now(dt.UTC))).total_seconds())
