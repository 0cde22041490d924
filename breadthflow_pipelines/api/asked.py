"""What a request may ask for: the parameters of each route, checked before anything is looked up."""

import datetime as dt
import re
from enum import IntEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from breadthflow_pipelines.model.vocabulary import HORIZONS, Action, State, Status
from breadthflow_pipelines.moments import check_days, utc_moment

USUAL_ROWS, MOST_ROWS = 1000, 5000

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_UNCODED_PLUS = re.compile(r" (?=\d\d:?\d\d$)")  # what a plus that was not encoded becomes in an address


def _day(value: Any) -> Any:
    """Only a day: pydantic would take a number for seconds since 1970."""
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("write it as 2024-03-01")
    return value


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return utc_moment(value[:11] + _UNCODED_PLUS.sub("+", value[11:]))


Day = Annotated[dt.date, BeforeValidator(_day)]
Moment = Annotated[dt.datetime, BeforeValidator(_moment)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Horizon = IntEnum("Horizon", {f"SESSIONS_{number}": number for number in HORIZONS})  # type: ignore[misc]


class Paged(BaseModel):
    """What every list of rows can be asked for."""

    model_config = ConfigDict(extra="forbid")

    columns: Annotated[str, StringConstraints(max_length=5000, pattern=r"^\w+(,\w+)*$")] | None = Field(
        None, description="Fields to give, separated by commas, beside those of the key; all without it."
    )
    limit: int = Field(USUAL_ROWS, ge=1, le=MOST_ROWS, description="Rows in a page, at most.")
    cursor: Annotated[str, StringConstraints(max_length=1000, pattern=r"^[A-Za-z0-9_-]+$")] | None = Field(
        None, description="`next` of the page before; the other parameters stay as they were."
    )

    @property
    def filters(self) -> dict[str, Any]:
        """What says which rows are meant, apart from how they are given."""
        return self.model_dump(mode="json", exclude={"columns", "limit", "cursor"})


class OfDays(Paged):
    """Rows of sessions."""

    start: Day | None = Field(None, alias="from", description="The first session.", examples=["2024-03-01"])
    end: Day | None = Field(None, alias="to", description="The last session.", examples=["2024-03-28"])

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        check_days(self.start, self.end)
        return self


_UNIVERSE = Field(None, description="Only of this universe.", examples=["sp500"])
_SEGMENT = Field(None, description="ALL, the universe as a whole, or a sector; every segment without it.")
_RULE = Field(None, description="Only of this rule; GET /v1/rules lists them.", examples=["zweig_breadth_thrust"])
_ACTION = Field(None, description="Only these signals.")
_HORIZON = Field(None, description="Only of this horizon, in sessions.")
_AS_OF = Field(
    None,
    description="What the store said at this moment, instead of what it says now; UTC without a zone.",
    examples=["2024-03-01T22:15:00Z"],
)
_AS_OF_NEWEST = Field(
    None,
    description="What the store said at this moment; UTC without a zone. Only the newest rows are kept: a moment "
    "before their last change is refused, and the refusal says when that was.",
    examples=["2024-03-01T22:15:00Z"],
)
_WHOSE = Field(description="Of which universe; GET /v1/universes lists them.", examples=["sp500"])


class Sessions(OfDays):
    """Sessions of universes."""

    universe: Name | None = _UNIVERSE


class Breadth(OfDays):
    """Counts and indicators of a universe."""

    universe: Name = _WHOSE
    segment: Name | None = _SEGMENT
    as_of: Moment | None = _AS_OF


class Signals(OfDays):
    """Signals of universes."""

    universe: Name | None = _UNIVERSE
    segment: Name | None = _SEGMENT
    rule: Name | None = _RULE
    action: Action | None = _ACTION
    state: State | None = Field(None, description="Only provisional or only final ones.")
    as_of: Moment | None = _AS_OF


class Symbols(OfDays):
    """Signals of members; of the last session without days."""

    universe: Name = _WHOSE
    segment: Name | None = Field(
        None, description="Only members of this sector, as it is known now; all of them with ALL or without it."
    )
    symbol: Name | None = Field(None, description="Only of this member.", examples=["AAPL"])
    action: Action | None = _ACTION
    as_of: Moment | None = _AS_OF_NEWEST


class Outcomes(OfDays):
    """What followed signals."""

    universe: Name | None = _UNIVERSE
    segment: Name | None = _SEGMENT
    rule: Name | None = _RULE
    action: Action | None = _ACTION
    horizon: Horizon | None = _HORIZON
    as_of: Moment | None = _AS_OF_NEWEST


class Accuracy(Paged):
    """Records of rules."""

    universe: Name | None = _UNIVERSE
    rule: Name | None = _RULE
    action: Action | None = _ACTION
    horizon: Horizon | None = _HORIZON
    as_of: Moment | None = _AS_OF_NEWEST


class Backtests(Paged):
    """Backtests of rules."""

    universe: Name | None = _UNIVERSE
    rule: Name | None = _RULE
    as_of: Moment | None = _AS_OF_NEWEST


class Rejected(OfDays):
    """Rows of bars that were refused or flagged."""

    universe: Name | None = Field(
        None, description="Only of symbols that are or were members of this universe.", examples=["sp500"]
    )
    source: Name | None = Field(None, description="Only of this source.", examples=["files"])
    symbol: Name | None = Field(None, description="Only of this symbol.", examples=["AAPL"])
    reason: Name | None = Field(None, description="Any part of a reason.", examples=["high below low"])
    status: Status | None = Field(None, description="Only these; without it all but those that lapsed or are gone.")
    as_of: Moment | None = Field(
        None,
        description="What had been found by this moment; UTC without a zone. status of a flagged bar is then null "
        "unless somebody had decided it: what it was before is not kept.",
        examples=["2024-03-01T22:15:00Z"],
    )


class RejectedCounts(OfDays):
    """Lines of published counts that were refused."""

    exchange: Name | None = Field(None, description="Only of this exchange.", examples=["NYSE"])
    reason: Name | None = Field(None, description="Any part of a reason.", examples=["not a number"])
    as_of: Moment | None = Field(
        None, description="What had been refused by this moment; UTC without a zone.", examples=["2024-03-01T22:15:00Z"]
    )
