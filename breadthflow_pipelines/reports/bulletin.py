"""A message of several parts, as text and as Markdown: how the digest and the review are written.

What they say is in digest.py and review.py.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

SHOWN = 5  # lines of one part


@dataclass(frozen=True)
class Part:
    """One subject: its name, what there is to say of it, details line by line, and what to do next, if anything."""

    name: str
    said: str
    lines: Sequence[str] = ()
    todo: str = ""


def plain(parts: Sequence[Part]) -> str:
    """The parts as text, for a message and the terminal."""
    return "\n".join(
        "\n".join([f"{part.name}: {part.said}", *(f"  - {line}" for line in _all(part))]) for part in parts
    )


def text(headline: str, parts: Sequence[Part], command: str) -> str:
    """The same after the headline and before what to run next, as a command prints it."""
    return f"{headline}\n{plain(parts)}\nNext: {command}"


def markdown(headline: str, parts: Sequence[Part], command: str) -> str:
    """The same for the UI, after the headline and before what to run next."""
    told = [
        "\n".join([f"**{part.name}**: {_verbatim(part.said)}", "", *(f"- {_verbatim(line)}" for line in _all(part))])
        for part in parts
    ]
    return "\n\n".join([f"**{_verbatim(headline)}**", *told, f"**Next**: {_verbatim(command)}"])


def number(count: int, what: str) -> str:
    """A count with its noun; of none, no."""
    return f"{f'{count:,}' if count else 'no'} {what}{'' if count == 1 else 's'}"


def few(lines: Sequence[str]) -> list[str]:
    """The first lines, and how many more there are."""
    more = [f"and {len(lines) - SHOWN:,} more"] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]


def _all(part: Part) -> list[str]:
    return [*part.lines, *([f"next: {part.todo}"] if part.todo else [])]


def _verbatim(text: str) -> str:
    """Text that Markdown shows as it is: an error may hold anything."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", text)
