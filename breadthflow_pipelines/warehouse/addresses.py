"""Addresses of databases, as text: checked, taken apart, put together. Opens nothing."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from breadthflow_pipelines.errors import RequestError

_ADDRESS = re.compile(r"(postgresql|postgres)(\+\w+)?(://([^@/]*@)?[^@/]*/[^@]+)")
_SHAPE = "write it as postgresql://user:password@host:port/database"
_MISSHAPEN = f"{_SHAPE}, and @ / ? # [ ] % of a password as %40 %2F %3F %23 %5B %5D %25"
_PLACE = re.compile(r"(?:\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?")  # a host, perhaps in brackets, and its port


def normalise(url: str, setting: str) -> str:
    """A libpq address from what users paste.

    Raises:
        RequestError: it is none. Of the address nothing is repeated, as it may hold a password. What libpq or another
            library would refuse and repeat is refused here.
    """
    match = _ADDRESS.fullmatch(url.strip())
    fault = _fault(match[0]) if match is not None else _MISSHAPEN
    if match is None or fault is not None:
        raise RequestError(f"{setting} cannot be used: {fault}.")
    return f"postgresql{match[3]}"


def _fault(url: str) -> str | None:
    """What is wrong with an address that looks like one."""
    try:
        parts = urlsplit(url)
        place = _PLACE.fullmatch(parts.netloc.rpartition("@")[2])
    except ValueError:  # brackets that do not match
        return _MISSHAPEN
    if place is None or not parts.path.strip("/"):
        return _MISSHAPEN
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", url):
        return "it has a % that begins no escape; write a % of a password as %25"
    if not _is_port(place["port"] or ""):
        return f"what stands behind the : of its host is no port, 1 to 65535; {_SHAPE}"
    return _fault_behind(parse_qsl(parts.query, keep_blank_values=True))


def _fault_behind(given: list[tuple[str, str]]) -> str | None:
    """What is wrong with the parameters of an address."""
    if any(name == "password" for name, _ in given):  # it would be in the list of processes (postgres_programs.py)
        return "it has a password behind the ?; write it before the @, or as BREADTHFLOW_DATABASE_PASSWORD"
    if not all(_is_port(port) for name, value in given if name == "port" for port in value.split(",")):
        return "its parameter port is no port, 1 to 65535"
    return None


def _is_port(text: str) -> bool:
    """Whether libpq takes it; an empty one is the usual one."""
    return not text or (re.fullmatch("[0-9]{1,5}", text) is not None and 1 <= int(text) <= 65_535)


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
