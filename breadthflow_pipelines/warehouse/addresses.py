"""Addresses of databases, as text: checked, taken apart, put together. Opens nothing."""

import re
from urllib.parse import quote, unquote, urlsplit, urlunsplit

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
