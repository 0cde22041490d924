"""The OpenAPI document as people read it: routes, parameters, fields. Written as a page and as docs/api.md."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

Schema = Mapping[str, Any]
TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Entry:
    """A parameter or a field: its name, its type in words, what it says, an example as it is sent."""

    name: str
    type: str
    about: str
    example: str
    required: bool
    where: str = ""


@dataclass(frozen=True)
class Operation:
    """A route. answers: what it gives, by media type. refusals: the statuses of those that it may give."""

    method: str
    path: str
    about: str
    parameters: Sequence[Entry]
    body: str
    answers: str
    refusals: str


@dataclass(frozen=True)
class Model:
    """An object that is sent: what it is, and its fields."""

    name: str
    about: str
    fields: Sequence[Entry]


@dataclass(frozen=True)
class Reference:
    """All of it. groups: by tag, what it is and its routes. refusals: by status, what is wrong."""

    title: str
    version: str
    about: str
    groups: Sequence[tuple[str, str, Sequence[Operation]]]
    models: Sequence[Model]
    refusals: Mapping[str, str]


def reference(document: Schema) -> Reference:
    """The document in the order in which it is read."""
    operations = list(_operations(document))
    groups = [
        (tag["name"], tag["description"], [each for of, each in operations if of == tag["name"]])
        for tag in document["tags"]
    ]
    models = [_model(name, schema) for name, schema in document["components"]["schemas"].items()]
    about = document["info"]
    operations_of = (each for methods in document["paths"].values() for each in methods.values())
    answers = {status: answer["description"] for each in operations_of for status, answer in each["responses"].items()}
    refusals = {status: answers[status] for status in sorted(answers) if status >= "400"}
    return Reference(
        about["title"], about["version"], about["description"], [each for each in groups if each[2]], models, refusals
    )


def rendered(document: Schema, template: str) -> str:
    """The document as a template of this room shows it: ``page.html``, or ``api.md`` for the repository."""
    return _templates().get_template(template).render(reference=reference(document))


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _operations(document: Schema) -> Iterator[tuple[str, Operation]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"]
            yield (
                operation["tags"][0],
                Operation(
                    method.upper(),
                    path,
                    operation.get("description", ""),
                    [_parameter(each) for each in operation.get("parameters", ())],
                    _contents(operation.get("requestBody", {})),
                    "; ".join(_contents(answers[status]) for status in sorted(answers) if status < "300"),
                    ", ".join(status for status in sorted(answers) if status >= "400"),
                ),
            )


def _contents(holder: Schema) -> str:
    """What an answer or a body has, by media type."""
    named = (f"{media}: {_type(content.get('schema', {}))}" for media, content in holder.get("content", {}).items())
    return "; ".join(named)


def _parameter(parameter: Schema) -> Entry:
    schema = parameter["schema"]
    about = parameter.get("description", "") + (
        f" {schema['minimum']} to {schema['maximum']}; usually {schema['default']}."
        if {"maximum", "default"} <= schema.keys()
        else ""
    )
    examples = schema.get("examples", ())
    shown = str(examples[0]) if examples else ""
    return Entry(parameter["name"], _type(schema), about, shown, parameter.get("required", False), parameter["in"])


def _model(name: str, schema: Schema) -> Model:
    required = schema.get("required", ())
    fields = [
        Entry(
            field,
            _type(about),
            about.get("description", ""),
            json.dumps(about["examples"][0]) if about.get("examples") else "",
            field in required,
        )
        for field, about in schema.get("properties", {}).items()
    ]
    return Model(name, schema.get("description", ""), fields or _values(schema))


def _values(schema: Schema) -> list[Entry]:
    """The values of a list of words, each as an entry."""
    return [Entry(str(value), str(schema.get("type", "")), "", "", True) for value in schema.get("enum", ())]


def _type(schema: Schema) -> str:
    """A type in words."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(json.dumps(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "format" in schema:
        return f"{schema['type']} ({schema['format']})"
    return str(schema.get("type", "anything"))
