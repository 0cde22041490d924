"""Sends alerts: what broke, where, and the command to run next. Not too many to be read, and without secrets.

What broke is found out elsewhere; here is what is sent, when it is held back, and how. The caller's Memory stores what
was sent, so that it outlives this process.
"""

import datetime as dt
import hashlib
import json
import logging
import re
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.observability.redaction import Redactor, scheme

QUIET = dt.timedelta(hours=1)  # alerts of one kind are not sent twice within this
MOST_PER_QUIET = 10  # alerts of all kinds; a broken night is not a reason for a hundred messages
MOST_UNSENT = 20  # stored for another attempt while no address takes them
UNSENT_FOR = dt.timedelta(days=1)
REMEMBERED = 500  # occasions, such as runs, that were alerted about
LONGEST = {"title": 150, "what": 1_200, "where": 600, "command": 300}  # characters; some services cut at 2,000
LONGEST_READ = 20_000  # characters of an error that are looked through at all
SENDERS = 8  # addresses that are tried side by side


class Memory(Protocol):
    """Where a text is stored between two processes."""

    def read(self) -> str | None: ...

    def write(self, text: str) -> None: ...


@dataclass(frozen=True)
class Alert:
    """One message. command: what to run next. kind: alerts of one kind are the same thing happening again.

    occasion: the one event that this is about, such as a run; it is alerted only once, however late.
    """

    title: str
    what: str
    where: str
    command: str
    kind: tuple[str, ...] = ()
    occasion: str = ""

    @property
    def fingerprint(self) -> str:
        """A short name of the kind; without one, of the title."""
        return hashlib.sha256(json.dumps(self.kind or (self.title,)).encode()).hexdigest()[:16]

    @property
    def body(self) -> str:
        """Everything but the title, as it is sent."""
        return f"What   {self.what}\nWhere  {self.where}\nNext   {self.command}"

    def fit_to_send(self, redact: Callable[[str], str]) -> "Alert":
        """The same without secrets, and no longer than services take."""
        texts = {name: _shortened(redact(getattr(self, name)[:LONGEST_READ]), most) for name, most in LONGEST.items()}
        return Alert(**texts, kind=self.kind, occasion=self.occasion)


@dataclass(frozen=True)
class Delivery:
    """What became of a message at one address. target: what may be shown of it. reason: why it was not taken."""

    target: str
    taken: bool
    reason: str = ""


@dataclass
class _State:
    """What is stored. sent: by fingerprint, when. recent: when anything was sent. held: how many were held back."""

    sent: dict[str, str] = field(default_factory=dict)
    recent: list[str] = field(default_factory=list)
    held: int = 0
    occasions: list[str] = field(default_factory=list)
    unsent: list[dict[str, Any]] = field(default_factory=list)


class Alerter:
    """Sends alerts to all addresses, unless the same or too many were sent lately. Never raises for a failed one.

    secrets: words that must not be sent, besides the addresses themselves.
    """

    def __init__(
        self,
        urls: Sequence[str],
        memory: Memory,
        secrets: Collection[str] = (),
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._urls = tuple(urls)
        self._memory = memory
        self._secrets = (*secrets, *urls)
        self._clock = clock

    def send(self, alert: Alert) -> str:
        """Send an alert, or hold it back; returns what was done, in a few words."""
        if not self._urls:
            return "no address is set"
        alert = alert.fit_to_send(Redactor(self._secrets))
        with self._state() as state:
            reason = self._reason_to_hold(state, alert)
            if alert.occasion:
                state.occasions = [*state.occasions, alert.occasion][-REMEMBERED:]
            if reason:
                state.held += reason != "already sent"
                log.info("alert_held", title=alert.title, reason=reason)
                return reason
            now = self._clock().isoformat()
            if not self._deliver(_with_count(alert, state.held, len(state.recent) + 1)):
                state.unsent = [*state.unsent, {"at": now, **asdict(alert)}][-MOST_UNSENT:]
                return "no address took it"
            self._remember(state, alert, now)
        return "sent"

    def send_unsent(self) -> int:
        """Send again what no address took, one of each kind; returns how many were sent."""
        if not self._urls:
            return 0
        sent = 0
        with self._state() as state:
            waiting, state.unsent = state.unsent, []
            for record in waiting:
                at = dt.datetime.fromisoformat(record["at"])
                alert = Alert(**{**{name: value for name, value in record.items() if name != "at"}, "occasion": ""})
                if self._clock() - at > UNSENT_FOR or self._reason_to_hold(state, alert):
                    continue
                late = Alert(**{**asdict(alert), "what": f"{alert.what}\n(of {at:%Y-%m-%d %H:%M} UTC; not taken then)"})
                if not self._deliver(late):
                    state.unsent.append(record)
                    continue
                self._remember(state, alert, self._clock().isoformat())
                sent += 1
        return sent

    def _reason_to_hold(self, state: _State, alert: Alert) -> str:
        if alert.occasion and alert.occasion in state.occasions:
            return "already sent"
        if alert.fingerprint in state.sent:
            return f"the same was sent less than {QUIET.seconds // 3600 or 1} h ago"
        return f"{MOST_PER_QUIET} alerts an hour are enough" if len(state.recent) >= MOST_PER_QUIET else ""

    def _remember(self, state: _State, alert: Alert, now: str) -> None:
        state.sent[alert.fingerprint] = now
        state.recent.append(now)
        state.held = 0

    def _deliver(self, alert: Alert) -> bool:
        deliveries = deliver(self._urls, alert.title, alert.body)
        for delivery in deliveries:
            if not delivery.taken:
                log.warning("alert_not_taken", target=delivery.target, reason=delivery.reason, title=alert.title)
        return any(delivery.taken for delivery in deliveries)

    @contextmanager
    def _state(self) -> Iterator[_State]:
        """What is stored, without what is old; written back afterwards if it changed."""
        text = self._memory.read()
        state = _state_of(text)
        since = (self._clock() - QUIET).isoformat()
        state.sent = {fingerprint: at for fingerprint, at in state.sent.items() if at > since}
        state.recent = [at for at in state.recent if at > since]
        yield state
        after = json.dumps(asdict(state))
        if after != text:
            self._memory.write(after)


def _state_of(text: str | None) -> _State:
    try:
        return _State(**json.loads(text)) if text else _State()
    except (TypeError, ValueError):  # of another version: one alert too many is better than none
        return _State()


def deliver(urls: Sequence[str], title: str, body: str) -> list[Delivery]:
    """Send one message to each address, side by side; gives for each whether it was taken."""
    if not urls:
        return []
    targets = [f"{number} {scheme(url)}" for number, url in enumerate(urls, 1)]
    with ThreadPoolExecutor(min(SENDERS, len(urls))) as pool:
        reasons = list(pool.map(lambda url: _send(url, title, body), urls))
    return [Delivery(target, not reason, reason) for target, reason in zip(targets, reasons, strict=True)]


def check_addresses(urls: Sequence[str]) -> None:
    """Find out before the first alert whether anything can be sent to these addresses; nothing is.

    Raises:
        RequestError: Apprise does not understand one; names it by its place and scheme.
    """
    unknown = [f"{number} ({scheme(url)})" for number, url in enumerate(urls, 1) if not _is_understood(url)]
    if unknown:
        raise RequestError(
            f"BREADTHFLOW_ALERT_URLS cannot be used: Apprise does not understand address {', '.join(unknown)} of "
            f"{len(urls)}. Its own pages list schemes and what follows them."
        )


def _is_understood(url: str) -> bool:
    import apprise  # as in _send

    with _apprise_log([]):
        try:
            return apprise.Apprise.instantiate(url) is not None
        except Exception:  # noqa: BLE001 - what it raises may hold the address
            return False


def _send(url: str, title: str, body: str) -> str:
    """Send to one address; returns why it was not taken, or nothing."""
    import apprise  # only where it is used: it brings a hundred services along

    logged: list[str] = []
    with _apprise_log(logged):
        try:
            service = apprise.Apprise.instantiate(url)
            if service is None:
                return "Apprise does not understand the address"
            if service.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT):
                return ""
        except Exception as error:  # noqa: BLE001 - an external service; what it raises may hold the address
            return f"{type(error).__name__} while sending"
    return next((reason for line in reversed(logged) if (reason := _reason(line))), "refused, or no answer")


def _reason(line: str) -> str:
    """What may be shown of a line that Apprise logged: it can hold parts of the address."""
    status = re.search(r"error\s*=\s*(\d{3})\b", line)
    if status:
        return f"answered with HTTP status {status[1]}"
    return "no connection" if re.search("connection error|socket|timed? ?out", line, re.IGNORECASE) else ""


class _ThreadLog(logging.Handler):
    """Collects what is logged in this thread; other addresses have threads of their own."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines, self._thread = lines, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self._lines.append(record.getMessage())


@contextmanager
def _apprise_log(lines: list[str]) -> Iterator[None]:
    """Collect what Apprise logs, and keep it out of our log: it repeats addresses that it does not understand."""
    theirs, handler = logging.getLogger("apprise"), _ThreadLog(lines)
    theirs.propagate = False
    theirs.addHandler(handler)
    try:
        yield
    finally:
        theirs.removeHandler(handler)


def _with_count(alert: Alert, held: int, number: int) -> Alert:
    notes = [f"({held} more were held back within the last hour.)"] if held else []
    if number == MOST_PER_QUIET:
        notes.append(f"(The last for now: {MOST_PER_QUIET} alerts an hour are enough.)")
    return Alert(**{**asdict(alert), "what": "\n".join([alert.what, *notes])})


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
