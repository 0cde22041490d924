"""What is judged: one claim, in one universe, at one horizon, as arrays. How it is judged is in significance.py."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from breadthflow_pipelines.evaluation.family import Claim
from breadthflow_pipelines.model.vocabulary import ALL, BUY, WINDOW_CLOSED, WINDOW_OPEN

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """The sessions on which a rule could speak and whose window has closed, in order, and on which of them it did.

    number: of the session in the calendar; exit: the day on which its window closed. event: whether the rule spoke.
    change, fall: return and drawdown of the window; from_open: the return from the open of the entry's session, nan
    where nobody knows it; excess: the return less the mean known when it closed, nan before
    there was one. trailing: the drawdown that led there. open: signals whose window has not closed. left_out: signals
    on sessions that are not eligible, or whose window has no price. basis: what the level is made of; empty where the
    universe has no level at all.
    """

    claim: Claim
    universe: str
    horizon: int
    open: int
    left_out: int
    basis: str
    number: npt.NDArray[np.int64]
    session: npt.NDArray[np.datetime64]
    exit: npt.NDArray[np.datetime64]
    event: npt.NDArray[np.bool_]
    change: Floats
    from_open: Floats
    excess: Floats
    fall: Floats
    trailing: Floats

    @property
    def events(self) -> npt.NDArray[np.int64]:
        """The numbers of the sessions on which the rule spoke."""
        return self.number[self.event]

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Where the claim came true: it rose (buy), or it fell behind the mean of all these windows (sell)."""
        return self._right(self.change)

    @property
    def right_from_open(self) -> npt.NDArray[np.bool_] | None:
        """The same of entries at the open; None where not all opens are known."""
        return self._right(self.from_open) if np.isfinite(self.from_open).all() else None

    def _right(self, change: Floats) -> npt.NDArray[np.bool_]:
        if self.claim.side == BUY:
            return np.asarray(change > 0)
        return np.asarray(change < change.mean()) if len(change) else np.zeros(0, dtype=bool)

    def between(self, after: dt.date | None, through: dt.date | None) -> "Trial":
        """The same over the sessions after one day and through another."""
        first, end = (
            None if day is None else int(np.searchsorted(self.session, np.datetime64(day), side="right"))
            for day in (after, through)
        )
        return self._part(slice(first, end))

    def known_before(self, day: dt.date) -> "Trial":
        """The same as it was known before that day: only windows that had closed."""
        return self._part(slice(int(np.searchsorted(self.exit, np.datetime64(day), side="left"))))

    def _part(self, wanted: slice) -> "Trial":
        """The same over some of the sessions; they and their exits are in order, and nothing is copied."""
        return replace(self, **{name: getattr(self, name)[wanted] for name in _BY_SESSION})


_BY_SESSION = ("number", "session", "exit", "event", "change", "from_open", "excess", "fall", "trailing")


def trials(
    signals: pl.DataFrame,
    eligible: pl.DataFrame,
    followed: pl.DataFrame,
    claims: tuple[Claim, ...],
    horizons: tuple[int, ...],
) -> Iterator[Trial]:
    """Every claim in every universe that has a signal or an eligible session, at every horizon; empty ones among them.

    signals: universe, segment, session, rule, action. eligible: ELIGIBLE_SCHEMA. followed: WINDOW_SCHEMA. Only what is
    said of universes as a whole is judged. A signal on a session that is not eligible is left out, and counted: the
    market was not known well enough to act on it.
    """
    spoken = signals.filter(segment=ALL)
    whole = followed.filter(segment=ALL)
    universes = pl.concat([spoken["universe"], eligible["universe"]]).unique().sort().to_list()
    could = _sessions(eligible, "rule")
    did = _sessions(spoken, "rule", "action")
    nothing = np.zeros(0, dtype="datetime64[D]")
    for universe in universes:
        series = {horizon: _Windows(whole.filter(universe=universe, horizon=horizon)) for horizon in horizons}
        for claim in claims:
            able = could.get((universe, claim.rule), nothing)
            told = did.get((universe, claim.rule, claim.side), nothing)
            for horizon in horizons:
                yield series[horizon].trial(claim, universe, horizon, able, told)


def _sessions(rows: pl.DataFrame, *by: str) -> Mapping[tuple[Any, ...], npt.NDArray[np.datetime64]]:
    """The sessions of each group of rows, in order, each once."""
    ordered = rows.select("universe", *by, "session").unique().sort("session")
    groups = ordered.partition_by("universe", *by, as_dict=True, include_key=False)
    return {key: days["session"].to_numpy().astype("datetime64[D]") for key, days in groups.items()}


def _among(days: npt.NDArray[np.datetime64], others: npt.NDArray[np.datetime64]) -> npt.NDArray[np.bool_]:
    """Which days are among the others; both in order, the others each once."""
    if not len(others):
        return np.zeros(len(days), dtype=bool)
    place = np.minimum(np.searchsorted(others, days), len(others) - 1)
    return np.asarray(others[place] == days)


class _Windows:
    """The windows of one universe and horizon as arrays."""

    def __init__(self, rows: pl.DataFrame) -> None:
        ordered = rows.sort("session")
        closed = ordered.filter(state=WINDOW_CLOSED)
        self._open = ordered.filter(state=WINDOW_OPEN)["session"].to_numpy().astype("datetime64[D]")
        self._basis = ordered["basis"][0] if ordered.height else ""
        self._rows = {
            "number": closed["number"].to_numpy().astype(np.int64),
            "session": closed["session"].to_numpy().astype("datetime64[D]"),
            "exit": closed["exit_session"].to_numpy().astype("datetime64[D]"),
            "change": closed["return"].to_numpy(),
            "from_open": closed["return_from_open"].to_numpy(),
            "excess": closed["excess"].to_numpy(),
            "fall": closed["drawdown"].to_numpy(),
            "trailing": closed["trailing"].to_numpy(),
        }

    def trial(
        self,
        claim: Claim,
        universe: str,
        horizon: int,
        able: npt.NDArray[np.datetime64],
        told: npt.NDArray[np.datetime64],
    ) -> Trial:
        session = self._rows["session"]
        among = _among(session, able)
        event = _among(session[among], told)
        waiting = int((_among(self._open, told) & _among(self._open, able)).sum())
        return Trial(
            claim=claim,
            universe=universe,
            horizon=horizon,
            open=waiting,
            left_out=len(told) - int(event.sum()) - waiting,
            basis=self._basis,
            event=event,
            **{name: values[among] for name, values in self._rows.items()},
        )
