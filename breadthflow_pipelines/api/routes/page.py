"""The live page: today's market, signals and why they fired, data quality. Views and templates are in api/page/."""

import datetime as dt
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BeforeValidator

from breadthflow_pipelines.api.access import Viewer
from breadthflow_pipelines.api.asked import MOST_ROWS
from breadthflow_pipelines.api.page import explained
from breadthflow_pipelines.api.page.answers import PageRoute, frame, nothing_yet
from breadthflow_pipelines.api.page.files import static_files
from breadthflow_pipelines.api.page.market import RANGES, SESSIONS, Market, market
from breadthflow_pipelines.api.page.quality import DAYS, quality_view
from breadthflow_pipelines.api.page.rendering import HEADERS, answer
from breadthflow_pipelines.api.problems import Problem
from breadthflow_pipelines.api.service import Serving
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import ACTIONS, ALL, SESSION_RULES
from breadthflow_pipelines.reports.records import record_line
from breadthflow_pipelines.signals.rules import RULES
from breadthflow_pipelines.warehouse import screen_listing, signal_listing, standing, symbol_listing
from breadthflow_pipelines.warehouse.database import Database, Row

router = APIRouter(route_class=PageRoute, include_in_schema=False)

SIGNALS = 50  # of one page
FOREVER = "public, max-age=31536000, immutable"
EVENT_RULES = tuple(name for name in RULES if name not in SESSION_RULES)

Reach = Annotated[Literal["all"] | None, Query(alias="sessions")]
Named = Annotated[str | None, BeforeValidator(lambda value: value or None)]
Day = Annotated[dt.date | None, BeforeValidator(lambda value: value or None)]


@router.get("/static/{digest}/{name}")
def static_file(digest: str, name: str) -> Response:
    """A script, a style or a picture."""
    file = static_files().get(name)
    if file is None or file.digest != digest:
        raise Problem(404, f"There is no file {name} of that version.", "Reload the page.")
    headers = {"Cache-Control": FOREVER, "X-Content-Type-Options": "nosniff"}
    return Response(file.content, media_type=file.media_type, headers=headers)


@router.get("/")
def today(
    request: Request, service: Serving, who: Viewer, universe: Named = None, sessions: Reach = None
) -> HTMLResponse:
    """Where every universe stands, and one of them in full."""
    universes = screen_listing.standings(service.store)
    if not universes:
        return nothing_yet(request, who, RequestError(standing.why_nothing(service.store)))
    chosen = _chosen(universes, universe)
    shown = _market(service.store, chosen, sessions)
    asked = {"universe": chosen["universe"], **({"sessions": sessions} if sessions else {})}
    return answer(
        "today.html",
        frame=frame(request, who, universes),
        universes=universes,
        chosen=chosen,
        market=shown,
        known_at=f"{shown.facts.known_at.isoformat()} {chosen['session']}",
        drawing=f"/charts?{urlencode(asked)}",
        ranges=RANGES,
        whole=sessions is not None,
    )


@router.get("/charts")
def charts(service: Serving, _who: Viewer, universe: str, sessions: Reach = None) -> JSONResponse:
    """What the charts of a universe are drawn from."""
    chosen = _chosen(screen_listing.standings(service.store), universe)
    return JSONResponse(_market(service.store, chosen, sessions).drawn, headers=HEADERS)


@router.get("/signals")
def signals(
    request: Request,
    service: Serving,
    who: Viewer,
    universe: Named = None,
    segment: Named = ALL,
    rule: Named = None,
    action: Named = None,
    first: Annotated[Day, Query(alias="from")] = None,
    last: Annotated[Day, Query(alias="to")] = None,
    before: Named = None,
) -> HTMLResponse:
    """Signals of a universe, the newest first; every event, unless a rule is named."""
    universes = screen_listing.standings(service.store)
    chosen = _chosen(universes, universe)["universe"]
    filters = {"universe": chosen, "segment": segment, "rule": rule, "action": action, "from": first, "to": last}
    asked = {name: str(value) for name, value in filters.items() if value}
    if rule is not None and rule not in RULES:
        raise Problem(404, f"No rule is called {rule}.", "Choose one of the list.")
    rows = screen_listing.signals_listed(
        service.store,
        chosen,
        segment or ALL,
        rules=[rule] if rule else EVENT_RULES,
        action=action,
        first=first,
        last=last,
        before=_place(before),
        most=SIGNALS + 1,
    )
    shown = [{**row, "record": record_line(row)} for row in rows[:SIGNALS]]
    more = f"{shown[-1]['session']},{shown[-1]['rule']}" if len(rows) > SIGNALS else None
    return answer(
        "signals.html",
        frame=frame(request, who, universes),
        universes=[row["universe"] for row in universes],
        segments=screen_listing.segments(service.store, chosen),
        rules=list(RULES),
        actions=ACTIONS,
        asked={**asked, "first": first, "last": last, "rule": rule, "action": action},
        rows=shown,
        older=f"/signals?{urlencode({**asked, 'before': more})}" if more else None,
        export=f"/v1/signals?{urlencode({**asked, 'limit': MOST_ROWS})}",
    )


@router.get("/signals/{signal_id}")
def signal(request: Request, service: Serving, who: Viewer, signal_id: str) -> HTMLResponse:
    """Why a signal fired."""
    if symbol_listing.is_address(signal_id):
        row = symbol_listing.symbol_signal(service.store, symbol_listing.address_of(signal_id))
        why = explained.of_member(row)
    else:
        row, behind = signal_listing.signal(service.store, signal_id)
        why = explained.of_market(row, behind)
    universes = screen_listing.standings(service.store)
    synthetic = any(each["synthetic"] for each in universes if each["universe"] == row["universe"])
    return answer(
        "signal.html",
        frame=frame(request, who, universes),
        explained=why,
        signal_id=signal_id,
        universe=row["universe"],
        invented=synthetic,
    )


@router.get("/quality")
def quality(
    request: Request,
    service: Serving,
    who: Viewer,
    first: Annotated[Day, Query(alias="from")] = None,
    last: Annotated[Day, Query(alias="to")] = None,
) -> HTMLResponse:
    """What was rejected, quarantined, doubted or revised, and what fails now."""
    universes = screen_listing.standings(service.store)
    end = last or max((row["session"] for row in universes), default=dt.datetime.now(dt.UTC).date())
    start = first or max(end, dt.date.min + dt.timedelta(days=DAYS)) - dt.timedelta(days=DAYS)
    return answer(
        "quality.html",
        frame=frame(request, who, universes),
        export=f"/v1/rejected?{urlencode({'from': start, 'to': end, 'limit': MOST_ROWS})}",
        **quality_view(service.store, start, end),
    )


def _market(store: Database, chosen: Row, sessions: str | None) -> Market:
    universe = chosen["universe"]
    found = screen_listing.screen(store, universe, None if sessions else SESSIONS)
    if found is None:  # it went away since its name was read
        raise Problem(404, f"Nothing of {universe} is stored any more.", "Reload the page.")
    return market(universe, found, synthetic=chosen["synthetic"])


def _chosen(universes: list[Row], name: str | None) -> Row:
    """The universe of that name; without a name the first one.

    Raises:
        Problem: 404, there is none.
    """
    for row in universes:
        if name in (None, row["universe"]):
            return row
    there = ", ".join(row["universe"] for row in universes)
    detail = f"Nothing is stored of universe {name}." if name else "The store has no breadth yet."
    raise Problem(HTTPStatus.NOT_FOUND, detail, f"Choose one of: {there}." if there else "breadthflow run")


def _place(before: str | None) -> tuple[dt.date, str] | None:
    """Where a list goes on: a session and a rule.

    Raises:
        Problem: 422, it is no such place.
    """
    if before is None:
        return None
    day, _, rule = before.partition(",")
    try:
        return dt.date.fromisoformat(day), rule
    except ValueError:
        raise Problem(422, f"{before} is no place in the list.", "Go back to its beginning.") from None
