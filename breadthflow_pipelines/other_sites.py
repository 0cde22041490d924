"""Requests that a page of another site lets a browser of this machine send, by their headers. What is then refused, and
how, is decided where they arrive: api/access.py, orchestration/hosting/own_pages.py.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def names_this_machine(headers: Mapping[str, str]) -> bool:
    """Whether the request asks for this machine by its own name. A name that somebody else let point here does not.

    headers: by name in lower case.
    """
    try:
        return urlsplit(f"//{headers.get('host', '')}").hostname in LOOPBACK
    except ValueError:  # no name at all
        return False


def of_another_site(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that a page of another site sends it. Programs say nothing, and are of no site.

    headers: by name in lower case. Another port of this machine is another site, too.
    """
    origin = headers.get("origin")
    try:
        foreign = origin is not None and urlsplit(origin).netloc != headers.get("host")
    except ValueError:
        foreign = True
    return foreign or headers.get("sec-fetch-site") in ("cross-site", "same-site")
