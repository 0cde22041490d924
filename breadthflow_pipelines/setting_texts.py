"""How settings with several parts are written as one text, and taken apart again."""

import re
from urllib.parse import urlsplit

from pydantic import SecretStr

_PAIRS_FOR = {
    "source_columns": "ours=theirs,ours=theirs, for example session=Day,close=Last",
    "index_symbols": "universe=symbol,universe=file, for example sp500=SPY,nasdaq100=/data/ndx.csv",
    "published_beside": "universe=exchange,universe=exchange, for example nyse_issues=NYSE",
}
"""By setting, how its pairs are written."""


def pairs(text: str, setting: str) -> dict[str, str]:
    """The pairs of ``name=value,name=value``.

    Raises:
        ValueError: one of them is none, or a name is there twice; says what is possible.
    """
    found = [[part.strip() for part in pair.split("=", 1)] for pair in text.split(",") if pair.strip()]
    if any(len(pair) != 2 or not all(pair) for pair in found):
        raise ValueError(f"write it as {_PAIRS_FOR[setting]}")
    names = [name for name, _ in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"it names {', '.join(twice)} twice; keep one value for each")
    return dict(found)


def check_port(address: str) -> None:
    """Refuse an address with a port that none can have: libraries take another one for it, or fail.

    Raises:
        ValueError: says what is possible.
    """
    try:
        fits = urlsplit(address).port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("its port is no number from 1 to 65535")


def by_exchange(pairs: SecretStr | None) -> dict[str, str]:
    """The text after each ``NAME=``; a comma that is not followed by another name is part of a path or an address."""
    parted = [pair.partition("=") for pair in parts(pairs)] if pairs else []
    return {exchange.strip(): where.strip() for exchange, _, where in parted}


def parts(pairs: SecretStr) -> list[str]:
    """Each ``NAME=where``, as it is written."""
    return [pair for pair in re.split(r",(?=\s*[\w.-]+\s*=)", pairs.get_secret_value().strip(", ")) if pair]


def targets(urls: SecretStr | None) -> tuple[str, ...]:
    """Each address; a comma or a blank parts two where a scheme follows it."""
    text = urls.get_secret_value().strip(", \n") if urls else ""
    return tuple(part for part in re.split(r"[\s,]+(?=[A-Za-z][A-Za-z0-9]*://)", text) if part)


def written(value: object) -> str:
    """A setting's value as its variable holds it; None becomes the empty text, which means the default."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return ",".join(f"{name}={other}" for name, other in value.items())
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
