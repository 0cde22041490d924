"""The documentation of the API on its own port: a page made of the OpenAPI document, which is beside it."""

from fastapi import APIRouter, Request, Response

from breadthflow_pipelines.api.reference import TEMPLATES, rendered

_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

router = APIRouter(include_in_schema=False)


@router.get("/docs")
def documentation(request: Request) -> Response:
    """The page."""
    page = rendered(request.app.openapi(), "page.html")
    return Response(page, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _POLICY})


@router.get("/docs.css")
def style() -> Response:
    """How the page looks."""
    return Response((TEMPLATES / "docs.css").read_bytes(), media_type="text/css; charset=utf-8")
