"""Keeps services running: starts them in order, asks whether they answer, restarts those that die or hang.

Knows neither Dagster nor the store; what the services are is in services.py.
"""

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from breadthflow_pipelines.errors import BreadthFlowError

Say = Callable[[str], None]
Hurried = Callable[[], bool]  # whether a second request to stop came


def never() -> bool:
    """No second request to stop."""
    return False


POLL_SECONDS = 0.1
WAITS = (1.0, 5.0, 20.0)  # seconds before each restart; a service that dies after the last one is given up
CALM = 600.0  # seconds after which an earlier failure no longer counts
ASK_EVERY = 5.0  # seconds between two health checks
KILL_AFTER = 10.0  # seconds that a hanging service has to stop by itself


def sentence(name: str) -> str:
    """A service's name at the beginning of a sentence."""
    return name[:1].upper() + name[1:]


class Service(Protocol):
    """Something that runs beside this process. name: as it stands in a sentence; needs: what must answer first.

    silence: seconds without an answer after which it hangs; starting: the same for the first answer after a start.
    """

    name: str
    needs: Sequence[str]
    silence: float
    starting: float

    def start(self) -> None:
        """Start it; one that runs already is left alone."""

    def ended(self) -> str | None:
        """How it ended, in words, or None while it runs. Never waits."""

    def answers(self) -> bool:
        """Whether it does its work. May wait, and may raise anything instead of returning False."""

    def stop(self, seconds: float, hurried: Hurried = never) -> None:
        """Stop it, by force after that long or once hurried; one that does not run is not an error."""


class Child:
    """A child process in a session of its own, so that Ctrl-C in the terminal reaches only this process."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        asks: Callable[[], bool],
        *,
        log: Path,
        environment: Mapping[str, str],
        needs: Sequence[str] = (),
        silence: float = 60,
        starting: float = 180,
    ) -> None:
        self.name, self.needs, self.silence, self.starting = name, needs, silence, starting
        self.log = log
        self._command, self._asks, self._environment = list(command), asks, dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The number of its process, while there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
                env=self._environment,
                start_new_session=True,
            )

    def ended(self) -> str | None:
        status = self._process.poll() if self._process else 0
        if status is None:
            return None
        if status < 0:
            return f"was killed by signal {-status}"
        return f"ended with status {status} ({self.log}: {_last_line(self.log)})"

    def answers(self) -> bool:
        return self._asks()

    def stop(self, seconds: float, hurried: Hurried = never) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
        deadline = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < deadline and not hurried():
            time.sleep(POLL_SECONDS)
        self._process.kill()
        self._process.wait()
        self._process = None


class _Pulse:
    """Checks a service again and again, in a thread of its own: a check may never return."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._over = threading.Event()
        self.answered = False
        self.last = time.monotonic()
        threading.Thread(target=self._beat, name=f"pulse of {service.name}", daemon=True).start()

    def _beat(self) -> None:
        while not self._over.is_set():
            try:
                good = self._service.answers()
            except Exception:  # noqa: BLE001 - whatever is wrong with it, it did not answer
                good = False
            if good:
                self.answered, self.last = True, time.monotonic()
            # Often until it answers for the first time, which people wait for.
            self._over.wait(ASK_EVERY if self.answered else ASK_EVERY / 20)

    def end(self) -> None:
        self._over.set()


@dataclass
class _Watched:
    service: Service
    pulse: _Pulse | None = None
    start_at: float = 0.0
    deaths: list[float] = field(default_factory=list)
    announced: bool = False


class Supervisor:
    """Keeps services running. step() is called again and again, and never waits long."""

    def __init__(
        self,
        services: Sequence[Service],
        say: Say,
        *,
        waits: Sequence[float] = WAITS,
        calm: float = CALM,
        answered: Say = lambda _: None,
    ) -> None:
        self._watched = {service.name: _Watched(service) for service in services}
        self._say, self._waits, self._calm, self._answered = say, waits, calm, answered
        self._looked = time.monotonic()

    def step(self) -> str | None:
        """Look at every service once and start what should run; gives why to stop, or None."""
        self._forgive_own_pause()
        for watched in self._watched.values():
            given_up = self._look_at(watched) if self._ready(watched) else None
            if given_up:
                return given_up
        return None

    def stop(self, name: str, seconds: float, hurried: Hurried = never) -> bool:
        """Stop one service for good; gives whether it ran. One that is not among these never did."""
        watched = self._watched.get(name)
        if watched is None:
            return False
        ran = watched.pulse is not None
        watched.start_at = float("inf")
        self._forget(watched)
        watched.service.stop(seconds, hurried)
        return ran

    def _look_at(self, watched: _Watched) -> str | None:
        if watched.pulse is None:
            return self._start(watched)
        self._announce(watched)
        trouble = self._trouble(watched, watched.pulse)
        return self._died(watched, trouble) if trouble is not None else None

    def _forgive_own_pause(self) -> None:
        """Without checks, as while this process was halted by Ctrl-Z or a debugger, no service counts as hanging."""
        now = time.monotonic()
        if now - self._looked > 3 * ASK_EVERY:
            for watched in self._watched.values():
                if watched.pulse is not None:
                    watched.pulse.last = now
        self._looked = now

    def _ready(self, watched: _Watched) -> bool:
        """Whether the services that it needs answer. Without them its own answer means nothing."""
        pulses = [self._watched[name].pulse for name in watched.service.needs]
        return all(pulse is not None and pulse.answered and self._fresh(pulse) for pulse in pulses)

    def _fresh(self, pulse: _Pulse) -> bool:
        return time.monotonic() - pulse.last < 3 * ASK_EVERY

    def _start(self, watched: _Watched) -> str | None:
        if time.monotonic() < watched.start_at:
            return None
        try:
            watched.service.start()
        except (BreadthFlowError, OSError) as error:
            return self._died(watched, f"does not start: {str(error).rstrip('.')}")
        watched.pulse = _Pulse(watched.service)
        return None

    def _announce(self, watched: _Watched) -> None:
        if watched.pulse is not None and watched.pulse.answered and not watched.announced:
            watched.announced = True
            self._answered(watched.service.name)
            if watched.deaths:
                self._say(f"{sentence(watched.service.name)} runs again.")

    def _trouble(self, watched: _Watched, pulse: _Pulse) -> str | None:
        ended = watched.service.ended()
        if ended is not None:
            return ended
        silent = time.monotonic() - pulse.last
        limit = watched.service.silence if pulse.answered else watched.service.starting
        return f"has not answered for {silent:.0f} s" if silent > limit else None

    def _died(self, watched: _Watched, how: str) -> str | None:
        """Report it and plan the restart; gives why there will be none, or None."""
        now = time.monotonic()
        self._forget(watched)
        watched.service.stop(KILL_AFTER)
        watched.deaths = [death for death in watched.deaths if now - death < self._calm]
        if len(watched.deaths) >= len(self._waits):
            return f"{sentence(watched.service.name)} {how}. Starting it again did not help."
        wait = self._waits[len(watched.deaths)]
        watched.deaths.append(now)
        watched.start_at = now + wait
        tries = f"{len(watched.deaths)} of {len(self._waits)}"
        self._say(f"{sentence(watched.service.name)} {how}. Starting it again in {wait:.0f} s ({tries}).")
        return None

    def _forget(self, watched: _Watched) -> None:
        if watched.pulse is not None:
            watched.pulse.end()
        watched.pulse, watched.announced = None, False


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip()[:200] if lines else ""
