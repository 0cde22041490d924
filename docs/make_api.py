"""Write docs/api.md, every route and field of the API as the code has them: .venv/bin/python docs/make_api.py."""

from pathlib import Path

from breadthflow_pipelines.api.app import openapi_document
from breadthflow_pipelines.api.reference import rendered

DOCS = Path(__file__).resolve().parent


def page() -> str:
    """The page."""
    return rendered(openapi_document(), "api.md")


if __name__ == "__main__":
    DOCS.joinpath("api.md").write_text(page())
