"""Addresses of databases, as text: checked, taken apart, put together. Opens nothing."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from breadthflow_pipelines.errors import RequestError


def normalise(url: str, setting: str) -> str:
    """A libpq address from what users paste; the message of a refusal never repeats it, as it may hold a password."""
    match = re.fullmatch(r"(postgresql|postgres)(\+\w+)?(://([^@/]*@)?[^@/]*/[^@]+)", url.strip())
    try:
        named = match is not None and urlsplit(url).path.strip("/")
    except ValueError:  # brackets that do not match
        named = ""
    if match is None or not named:
        raise RequestError(f"{setting} cannot be used: write it as postgresql://user:password@host:port/database.")
    return f"postgresql{match[3]}"


def encrypted(url: str, authority: Path, setting: str) -> str:
    """The address with what libpq needs to refuse a server that this authority did not certify under its name.

    Raises:
        RequestError: the address says something else of encryption, or there is no such file.
    """
    if not authority.is_file():
        raise RequestError(f"BREADTHFLOW_DATABASE_CA cannot be used: there is no file {authority}.")
    wanted = {"sslmode": "verify-full", "sslrootcert": str(authority)}
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if any(given.get(name, value) != value for name, value in wanted.items()):
        raise RequestError(f"{setting} has an sslmode or sslrootcert: remove it, or unset BREADTHFLOW_DATABASE_CA.")
    return urlunsplit(parts._replace(query=urlencode({**given, **wanted}, quote_via=quote)))


def with_session(url: str, **parameters: str) -> str:
    """The address with parameters that the server gives each session, beside those that it has; names of ours only."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    given = " ".join(f"-c {name}={value}" for name, value in parameters.items())
    query["options"] = f"{query['options']} {given}" if query.get("options") else given
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


def sibling(url: str, suffix: str) -> str:
    """The address of the database beside ``url``'s on the same server whose name ends in ``suffix``."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{quote(unquote(parts.path[1:]) + suffix)}"))


def database_name(url: str) -> str:
    """The database that an address names."""
    return unquote(urlsplit(url).path[1:])


def maintenance(url: str) -> str:
    """The address of the database that every server has, to create others from."""
    return urlunsplit(urlsplit(url)._replace(path="/postgres"))
