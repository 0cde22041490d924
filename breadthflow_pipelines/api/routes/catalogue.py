"""What there is to ask for: universes, their sessions, indicators, rules."""

import datetime as dt
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from breadthflow_pipelines.api import asked
from breadthflow_pipelines.api.access import Viewer
from breadthflow_pipelines.api.answers import document, page_of
from breadthflow_pipelines.api.openapi import document_of, rows_of
from breadthflow_pipelines.api.service import Serving
from breadthflow_pipelines.api.shapes import SESSION
from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.indicators.definition import Indicator
from breadthflow_pipelines.indicators.relative import RELATIVE_STRENGTH
from breadthflow_pipelines.indicators.technical import TECHNICAL
from breadthflow_pipelines.model.vocabulary import Action, State
from breadthflow_pipelines.signals.rules import RULES, Rule
from breadthflow_pipelines.warehouse import page_listing
from breadthflow_pipelines.warehouse.overview import universes as stored_universes

router = APIRouter(prefix="/v1", tags=["catalogue"])


class Universe(BaseModel):
    """A universe that has breadth, as it is on its last session."""

    universe: str = Field(description="Its name.", examples=["sp500"])
    first: dt.date = Field(description="Its first session.", examples=["2006-01-03"])
    last: dt.date = Field(description="Its last session.", examples=["2024-03-01"])
    state: State = Field(description="Whether that one may still change.")
    members: int | None = Field(description="Members on it; null of published counts.", examples=[503])
    priced: int | None = Field(description="Of them, those with a bar.", examples=[501])
    coverage: float | None = Field(description="priced / members. Unit: fraction.", examples=[0.996])
    signals: int = Field(description="Signals of the universe as a whole, of all sessions.", examples=[9301])
    synthetic: bool = Field(description="Whether its companies are invented.", examples=[False])


class IndicatorEntry(BaseModel):
    """An indicator: what it is and where it comes from."""

    name: str = Field(description="The field that has it.", examples=["zweig_ema"])
    of: Literal["breadth", "symbols"] = Field(description="Of a universe (/v1/breadth), or of a member (/v1/symbols).")
    family: str = Field(description="What it is listed with.", examples=["Advances and declines"])
    formula: str = Field(description="How it is computed.", examples=["EMA of advances / (advances + declines)"])
    units: str = Field(description="What it is in.", examples=["share of issues that moved"])
    parameters: dict[str, float] = Field(description="Its numbers, by name.", examples=[{"alpha": 0.18}])
    seed: str = Field(description="What a recursion begins with.", examples=["none"])
    burn_in: int = Field(description="Observations before the first value. Unit: sessions.", examples=[9])
    low: float | None = Field(description="It is never below this, in its units; null: no bound.", examples=[0])
    high: float | None = Field(description="It is never above this, in its units; null: no bound.", examples=[1])
    source: str = Field(description="Where it was published.", examples=["Zweig, Winning on Wall Street, 1986"])
    verified: str = Field(description="What its computation was compared with.", examples=["its brute-force twin"])


class RuleEntry(BaseModel):
    """A rule that gives signals of universes."""

    name: str = Field(description="Its name.", examples=["zweig_breadth_thrust"])
    about: str = Field(description="When it fires.", examples=["The average share of advances rises from below 0.40."])
    source: str = Field(description="Where it was published.", examples=["Zweig, Winning on Wall Street, 1986"])
    action: Action = Field(description="What follows from an event.")
    dimension: str | None = Field(description="What of the market it measures; null: none.", examples=["advances"])
    parameters: dict[str, float] = Field(description="What its value follows from.", examples=[{"sessions": 10}])
    thresholds: dict[str, float] = Field(
        description="What its value is held to, in the units of its indicator.", examples=[{"fires_above": 0.615}]
    )
    published_for: list[str] = Field(description="Universes its thresholds were published for.", examples=[["NYSE"]])
    published: dt.date | None = Field(description="When its numbers were public; null: never.", examples=["1986-12-31"])
    published_rate: float | None = Field(description="Events a decade there, as published.", examples=[2.0])


@router.get("/universes", **document_of(list[Universe]))
def universes(request: Request, service: Serving, _who: Viewer) -> Response:
    """The universes that have breadth."""
    return document(request, service, lambda: stored_universes(service.store))


@router.get("/sessions", **rows_of(SESSION))
def sessions(request: Request, service: Serving, _who: Viewer, given: Annotated[asked.Sessions, Query()]) -> Response:
    """The sessions that are stored of each universe as a whole, and how much of each is there."""
    which = (given.universe, given.start, given.end)
    return page_of(
        request,
        service,
        SESSION,
        page_listing.SESSIONS,
        given,
        lambda columns, after: page_listing.sessions_page(
            service.store, columns, *which, after=after, most=given.limit
        ),
    )


@router.get("/indicators", **document_of(list[IndicatorEntry]))
def indicators(request: Request, service: Serving, _who: Viewer) -> Response:
    """Every indicator: its formula, units and published source."""
    of_members = [_indicator(each, "symbols") for each in (*TECHNICAL, RELATIVE_STRENGTH)]
    return document(
        request, service, lambda: [*(_indicator(each, "breadth") for each in CATALOGUE.values()), *of_members]
    )


@router.get("/rules", **document_of(list[RuleEntry]))
def rules(request: Request, service: Serving, _who: Viewer) -> Response:
    """Every rule that gives signals of universes: its numbers, and who published them for which market."""
    return document(request, service, lambda: [_rule(rule) for rule in RULES.values()])


def _indicator(each: Indicator, of: str) -> dict[str, Any]:
    low, high = each.bounds
    shown = ("name", "family", "formula", "units", "seed", "burn_in", "source", "verified")
    return {
        **{name: getattr(each, name) for name in shown},
        "of": of,
        "parameters": dict(each.parameters),
        "low": low,
        "high": high,
    }


def _rule(rule: Rule) -> dict[str, Any]:
    shown = ("name", "about", "source", "action", "dimension", "published", "published_rate", "published_for")
    return {
        **{name: getattr(rule, name) for name in shown},
        "parameters": dict(rule.parameters),
        "thresholds": dict(rule.thresholds),
    }
