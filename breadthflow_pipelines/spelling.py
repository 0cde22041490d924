"""How symbols are spelled: a share class follows a dot, a dash, a slash or a blank, and all four mean the same.

S&P and the exchanges write BRK.B, Yahoo and Stooq BRK-B, others BRK/B or BRK B. Nothing else is equal: BFB is not BF.B,
and an underscore is Stooq's mark of a preferred share, ABR_A, not of a class (docs/decisions/symbols.md). Also what is
asked after any name that nobody knows. Knows neither sources nor the store.
"""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Sequence

SEPARATORS = "./ "  # beside the dash
_DASHED = str.maketrans(dict.fromkeys(SEPARATORS, "-"))
_MARKS = re.compile(r"[^A-Z0-9]+")
_ALIKE = 0.75  # difflib's ratio: one letter in four, or two in seven, may differ
_FEW = 3


def spelled(symbol: str) -> str:
    """The common form of all spellings of a symbol: a dash for every separator; two blanks are not one."""
    return symbol.translate(_DASHED)


def meant(symbol: str, known: Iterable[str]) -> list[str]:
    """The known symbols that a symbol may mean, sorted: itself where it is known, else its other spellings.

    More than one: the symbol is ambiguous, and the caller must not guess.
    """
    same = {name for name in known if spelled(name) == spelled(symbol)}
    return [symbol] if symbol in same else sorted(same)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A question, behind a blank, after names that are written almost like an unknown one; empty without any."""
    near = difflib.get_close_matches(name, known, n=_FEW, cutoff=0.5)
    return f" Did you mean {', '.join(near)}?" if near else ""


class Lookalikes:
    """Known symbols, searched for those that may be meant by a symbol that is not among them."""

    def __init__(self, known: Collection[str]) -> None:
        self._groups = [(alike, _grouped(known, alike)) for alike in (spelled, _bare, _root)]
        self._by_letter = _grouped(known, _letter)

    def of(self, symbol: str) -> list[str]:
        """Up to three of them, sorted; empty where none is similar.

        The first of these groups that has one to three: other spellings; the same letters with other marks or none; the
        same up to a mark (before an exchange or a class). Else the most similar one with the same first letter.
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
