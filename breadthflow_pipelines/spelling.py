"""How symbols are spelled: a share class stands behind a dot, a dash, a slash or a blank, and all four mean the same.

S&P and the exchanges write BRK.B, Yahoo and Stooq BRK-B, others BRK/B or BRK B. Nothing else is equal: BFB is not BF.B,
and an underscore is Stooq's mark of a preferred share, ABR_A, not of a class (docs/decisions/symbols.md). Knows neither
sources nor the store.
"""

import difflib
import re
from collections.abc import Callable, Collection, Iterable

SEPARATORS = "./ "  # the others of a dash
_DASHED = str.maketrans(dict.fromkeys(SEPARATORS, "-"))
_MARKS = re.compile(r"[^A-Z0-9]+")
_ALIKE = 0.75  # of difflib's ratio: one letter of four, or two of seven, is another
_FEW = 3


def spelled(symbol: str) -> str:
    """The one spelling of a symbol under which all of its spellings are found; two blanks are not one."""
    return symbol.translate(_DASHED)


def meant(symbol: str, known: Iterable[str]) -> list[str]:
    """The known symbols that a symbol may mean, sorted: itself where it is known, else its other spellings.

    More than one: it is ambiguous, and nobody may guess.
    """
    same = {name for name in known if spelled(name) == spelled(symbol)}
    return [symbol] if symbol in same else sorted(same)


class Lookalikes:
    """Known symbols, to be asked for those that somebody may have meant by one that is not among them."""

    def __init__(self, known: Collection[str]) -> None:
        self._groups = [(alike, _grouped(known, alike)) for alike in (spelled, _bare, _root)]
        self._by_letter = _grouped(known, _letter)

    def of(self, symbol: str) -> list[str]:
        """Up to three of them, sorted; none where nothing is like it.

        The first of these that there are, and are few: other spellings, the same letters with other marks or none, the
        same but for what stands behind a mark (an exchange, a class), and the most alike that begins with its letter.
        """
        for alike, groups in self._groups:
            found = sorted(name for name in groups.get(alike(symbol), ()) if name != symbol)
            if 0 < len(found) <= _FEW:
                return found
        return difflib.get_close_matches(symbol, sorted(self._by_letter.get(_letter(symbol), ())), n=1, cutoff=_ALIKE)


def _grouped(names: Iterable[str], by: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(by(name), []).append(name)
    return groups


def _bare(name: str) -> str:
    return _MARKS.sub("", name.upper())


def _root(name: str) -> str:
    return _MARKS.split(name.upper(), maxsplit=1)[0]


def _letter(name: str) -> str:
    return name[:1].upper()
