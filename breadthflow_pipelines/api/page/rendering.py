"""Templates into answers: every value is escaped, and browsers run and load nothing but the page's own files."""

import datetime as dt
from collections.abc import Mapping
from functools import cache
from typing import Any
from xml.etree.ElementTree import Element

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from breadthflow_pipelines.api.page.files import address
from breadthflow_pipelines.reports.page.markup import written
from breadthflow_pipelines.reports.svg import figure
from breadthflow_pipelines.reports.tables import text

POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "private, no-cache",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def answer(template: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any) -> HTMLResponse:
    """A page, with the headers that keep it to itself."""
    page = _environment().get_template(template).render(values)
    return HTMLResponse(page, status, {**HEADERS, **(headers or {})})


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("breadthflow_pipelines.api.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = address
    environment.filters |= {
        "said": text,
        "element": _element,
        "moment": _moment,
        "figure": figure,
    }
    return environment


def _element(element: Element) -> Markup:
    """An element as markup: whatever text is in it was escaped when it was written."""
    return Markup(written(element))  # noqa: S704 - ElementTree escapes


def _moment(value: dt.datetime | None) -> str:
    """A moment in UTC, to the minute."""
    return "-" if value is None else f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
