"""Where something is read from: a path, or an http, https or file address. Parses locations; opens nothing."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from breadthflow_pipelines.errors import printable

SCHEMES = ("http", "https", "file")


def location(text: str | Path) -> Path | str:
    """The absolute path that ``text`` means, or the address itself where it is one of http or https.

    Raises:
        ValueError: another scheme, an address without a host, blanks, or the home of an unknown user; says what is
            possible.
    """
    if isinstance(text, str) and "://" in text:
        parts = urlsplit(text)
        if parts.scheme.lower() not in SCHEMES:
            raise ValueError(f"{parts.scheme}:// cannot be read; write a path or an address http, https or file")
        if parts.scheme.lower() == "file":
            if parts.netloc not in ("", "localhost"):
                raise ValueError("a file address names no host: file:///directory/file")
            return Path(unquote(parts.path))
        if not parts.hostname:
            raise ValueError("the address names no host: https://host/path")
        return text
    if not str(text).strip():
        raise ValueError("it is blank; write a path, or leave it unset")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"{text} names a home that nobody has") from error


def shown(where: Path | str) -> str:
    """A location as people may see it: an address without user, password and query, which may be credentials.

    Bytes of a path that are not UTF-8 become ``\\xe9``.
    """
    if isinstance(where, Path):
        return printable(os.fsencode(where).decode("utf-8", "backslashreplace"))
    parts = urlsplit(where)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
