"""What is said of settings: why a value cannot be used, and which variables name none. Reads no environment.

A value is repeated only where it is not declared a secret, and then without an account, and without what follows a
question mark: both are credentials in an address. Values of unknown variables are never seen here.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, get_args

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from breadthflow_pipelines.errors import printable
from breadthflow_pipelines.secret_files import is_secret

PREFIX = "BREADTHFLOW_"
ELSEWHERE = {
    **dict.fromkeys(("DATA", "ARCHIVE", "ARCHIVE_FOLDER"), "docker/compose.yaml"),
    "NIGHTLY": ".github/workflows/nightly-checks.yml",
    "UP": "breadthflow_pipelines/orchestration/hosting/family.py",
}
"""Variables that begin like ours and are read by others than the settings, and by whom."""

LONGEST = 60  # characters of a value that are repeated
_ALIKE = 0.5  # difflib's ratio, of names without the prefix
_WRITTEN_AS = {
    "user_header": "the name of a header, letters, digits and dashes, for example X-Forwarded-User",
    "webserver_url": "an http or https address without account and query, for example http://127.0.0.1:3000",
    "api_origins": (
        "scheme://host or scheme://host:port, several with commas between them, for example https://notebook.example"
    ),
    "log_level": "DEBUG, INFO, WARNING or ERROR",
    "log_format": "json, text or auto",
}
"""By name, what is accepted of a setting that has to keep a pattern."""


def refusal(details: ErrorDetails, fields: Mapping[str, FieldInfo]) -> str:
    """Why a setting's value cannot be used, in one line: its variable, what is accepted, what was given."""
    name = str(details["loc"][0])
    field = fields[name]
    own = details["type"] == "value_error"
    reason = str(details["msg"]).removeprefix("Value error, ") if own else f"write {accepted(name, field)}"
    given = None if is_secret(field) else _given(details["input"])
    told = f' It is set to "{given}".' if given and not (own and given in reason) else ""
    return f"{PREFIX}{name.upper()} cannot be used: {reason}.{told}"


def accepted(name: str, field: FieldInfo) -> str:
    """What may be written for a setting, as it stands behind the word write."""
    if name in _WRITTEN_AS:
        return _WRITTEN_AS[name]
    kinds = {field.annotation, *get_args(field.annotation)}
    if bool in kinds:
        return "true or false"
    if kinds & {int, float}:
        return f"a whole number{_bounds(field)}" if int in kinds else f"a number{_bounds(field)}"
    return f"it as its description asks: {field.description}"


def _bounds(field: FieldInfo) -> str:
    """Behind a number, which ones are accepted."""
    least, most = (
        next((getattr(rule, kind) for rule in field.metadata if hasattr(rule, kind)), None) for kind in ("ge", "le")
    )
    if least is None:
        return ""
    return f" from {least} to {most}" if most is not None else f", {least} or more"


def _given(value: Any) -> str | None:
    """A value as people may see it, in a few words; None where it was not given as text."""
    if not isinstance(value, str):
        return None
    text = re.sub(r"^((?:.*?://)?).*@", r"\1***@", value, flags=re.DOTALL)
    text = re.sub(r"\?.*", "?***", text, flags=re.DOTALL) if "://" in text else text
    return printable(text if len(text) <= LONGEST else f"{text[:LONGEST]}...")


def unknown(variables: Iterable[str], fields: Mapping[str, FieldInfo]) -> dict[str, str | None]:
    """The variables that begin like ours and name nothing, each with the known one that is most like it, or None."""
    names = known(fields)
    strange = {name.upper() for name in variables if name.upper().startswith(PREFIX)} - {*names}
    return {name: _nearest(name, names) for name in sorted(strange)}


def known(fields: Mapping[str, FieldInfo]) -> list[str]:
    """Every variable that something reads: of a setting, of the file that holds a secret one, of others than us."""
    own = [f"{PREFIX}{name.upper()}" for name in fields]
    files = [f"{PREFIX}{name.upper()}_FILE" for name, field in fields.items() if is_secret(field)]
    return [*own, *files, *(f"{PREFIX}{name}" for name in ELSEWHERE)]


def unknown_told(name: str, nearest: str | None) -> str:
    """The line about an unknown variable."""
    hint = f"did you mean {nearest}?" if nearest else "docs/settings.md lists all settings."
    return f"{printable(name)} is not a setting, and is ignored: {hint}"


def _nearest(name: str, names: Collection[str]) -> str | None:
    plain = [known.removeprefix(PREFIX) for known in names]
    found = difflib.get_close_matches(name.removeprefix(PREFIX), plain, n=1, cutoff=_ALIKE)
    return f"{PREFIX}{found[0]}" if found else None
