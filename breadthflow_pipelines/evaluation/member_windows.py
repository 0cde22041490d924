"""What each member of a universe returned after a session: windows as in outcomes.py, for a million rows at once.

Lives here: prices as a table of sessions by securities, and returns read from it. What they say of signals is in
calibration.py.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from breadthflow_pipelines.evaluation.returns import on_sessions

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MemberPrices:
    """Closes by session (rows, from the ordinal ``first`` on) and security (columns, as ``securities`` says)."""

    first: int
    securities: Numbers
    close: Floats
    adjusted: Floats

    @cached_property
    def last_bar(self) -> npt.NDArray[np.int32]:
        """By session and security, the row of the last bar through that session, -1 before the first."""
        rows = np.where(np.isfinite(self.close), np.arange(len(self.close), dtype=np.int32)[:, None], np.int32(-1))
        return np.maximum.accumulate(rows, axis=0)

    def changes(self, ordinal: Numbers, security: Numbers, horizon: int) -> Floats:
        """The return of each security after each session, a fraction; nan where it cannot be told.

        ordinal, security: of the sessions and the securities, one pair for each return. One enters at the close of the
        next session, and leaves at the close ``horizon`` sessions after it. Who has no bar at the entry cannot be
        bought. Who has none at the exit left at its last close before: leaving it out would leave out those that ended.
        Both closes are those with dividends where both bars have them, else the price alone.
        """
        found = np.full(len(ordinal), np.nan)
        if not len(self.securities):
            return found
        column = np.searchsorted(self.securities, security).clip(max=len(self.securities) - 1)
        entry, leave = ordinal + 1 - self.first, ordinal + 1 + horizon - self.first
        told = (self.securities[column] == security) & (entry >= 0) & (leave < len(self.close))
        column, entry = column[told], entry[told]
        leave = self.last_bar[leave[told], column]
        price = self.close[leave, column] / self.close[entry, column]
        total = self.adjusted[leave, column] / self.adjusted[entry, column]
        found[told] = np.where(np.isfinite(total), total, price) - 1
        return found

    def followed_by(self, later: "MemberPrices", first: int) -> "MemberPrices":
        """This table from the ordinal ``first`` on, and then the next one, which begins where this ends.

        It has the columns of both, but for securities of which no close is left.
        """
        kept = slice(max(0, first - self.first), None)
        left = np.isfinite(self.close[kept]).any(axis=0)
        columns = np.union1d(self.securities[left], later.securities)
        here, there = (np.searchsorted(columns, some) for some in (self.securities[left], later.securities))

        def joined(before: Floats, after: Floats) -> Floats:
            rows = len(before[kept])
            whole = np.full((rows + len(after), len(columns)), np.nan)
            whole[:rows, here], whole[rows:, there] = before[kept][:, left], after
            return whole

        close, adjusted = joined(self.close, later.close), joined(self.adjusted, later.adjusted)
        return MemberPrices(max(first, self.first), columns, close, adjusted)


def member_prices(bars: pl.DataFrame, sessions: pl.DataFrame, through: tuple[int, int] | None = None) -> MemberPrices:
    """The table of these bars, with a column for each security that has any.

    bars: security_id, session, close, close_adjusted (or null). sessions: session, ordinal. through: the ordinals of
    the first and the last row; without it those of the bars, of which there is one at least.

    Raises:
        BreadthFlowError: a bar lies on a day that is not among the sessions.
    """
    placed = on_sessions(bars, sessions, "bars")
    ordinal, security = placed["ordinal"].to_numpy().astype(np.int64), placed["security_id"].to_numpy()
    first, last = through or (int(ordinal.min()), int(ordinal.max()))
    columns = np.unique(security)
    at = (ordinal - first, np.searchsorted(columns, security))
    close = np.full((last - first + 1, len(columns)), np.nan)
    adjusted = close.copy()
    close[at], adjusted[at] = placed["close"].to_numpy(), placed["close_adjusted"].cast(pl.Float64).to_numpy()
    return MemberPrices(first, columns, close, adjusted)
