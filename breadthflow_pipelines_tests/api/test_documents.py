"""The OpenAPI document is complete, and both pages made of it say what it says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from breadthflow_pipelines.api.app import openapi_document
from breadthflow_pipelines_tests.api.conftest import Served
from breadthflow_pipelines_tests.scripts import script

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = openapi_document()
ROUTES = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]


def fields() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for model, schema in DOCUMENT["components"]["schemas"].items():
        for name, about in schema.get("properties", {}).items():
            yield model, name, about


def test_every_field_is_described_with_an_example_and_numbers_with_a_unit() -> None:
    found = list(fields())
    assert len(found) > 300
    assert [(model, name) for model, name, about in found if not about.get("description")] == []
    told = {"enum", "$ref", "items"}  # its values, or another object, tell what it looks like
    silent = [
        (model, name)
        for model, name, about in found
        if not about.get("examples") and not told & about.keys() and "$ref" not in str(about.get("anyOf"))
    ]
    assert silent == []
    rows = {name for name in DOCUMENT["components"]["schemas"] if f"{name}Page" in DOCUMENT["components"]["schemas"]}
    assert [(model, name) for model, name, about in found if model in rows and not about.get("x-unit")] == []


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_every_route_and_parameter_says_what_it_is(path: str, method: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    assert operation["description"]
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    assert all(parameter["description"] for parameter in operation.get("parameters", ()))
    assert any(status < "300" for status in operation["responses"])


def test_the_page_in_the_repository_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "api.md").read_text() == script("make_api").page(), "run .venv/bin/python docs/make_api.py"


def test_the_page_on_the_port_needs_no_token_and_nothing_from_elsewhere(shared: Served) -> None:
    client = shared.client()
    page = client.get("/docs")
    assert page.status_code == 200
    assert all(path in page.text for path, _ in ROUTES)
    assert "<script" not in page.text
    sources = re.findall(r'(?:src|href)="([^"#][^"]*)"', page.text)
    assert sources == ["/docs.css", "/openapi.json"]
    for source in sources:
        assert client.get(source).status_code == 200
    assert "default-src 'none'; style-src 'self'" in page.headers["Content-Security-Policy"]
    assert client.get("/openapi.json").json() == DOCUMENT
