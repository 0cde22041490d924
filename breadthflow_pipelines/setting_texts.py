"""How settings with several parts are written as one text, and taken apart again. Knows no setting."""

import re

from pydantic import SecretStr


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
