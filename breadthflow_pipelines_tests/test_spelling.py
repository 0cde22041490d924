"""Symbols are the same whatever stands before their class, and in no other case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breadthflow_pipelines.spelling import SEPARATORS, Lookalikes, meant, spelled

SYMBOLS = st.text("ABR. -/_", min_size=1, max_size=6)


@pytest.mark.parametrize("other", ["BRK.B", "BRK-B", "BRK/B", "BRK B"])
def test_four_separators_are_one(other: str) -> None:
    assert spelled(other) == spelled("BRK.B")
    assert meant("BRK.B", ["BRK", "BRKB", other]) == [other]


@pytest.mark.parametrize(
    "other",
    [
        "BRKB",  # might be anybody's
        "BRK_B",  # Stooq's preferred shares: ABR_A is not class A of ABR
        "BRK--B",
        "BRK-BB",
        "BRK",
        "brk.b",  # some exchanges tell case apart
    ],
)
def test_nothing_else_is_the_same(other: str) -> None:
    assert spelled(other) != spelled("BRK.B")
    assert meant("BRK.B", [other]) == []


def test_the_same_spelling_wins_and_two_others_are_not_guessed_between() -> None:
    assert meant("BRK.B", ["BRK-B", "BRK.B"]) == ["BRK.B"]
    assert meant("BRK B", ["BRK.B", "BRK-B", "BRK-A"]) == ["BRK-B", "BRK.B"]


@given(SYMBOLS, st.lists(SYMBOLS, max_size=8))
def test_what_is_meant_differs_in_separators_alone(symbol: str, known: list[str]) -> None:
    bare = dict.fromkeys((*SEPARATORS, "-"), "")
    for name in meant(symbol, known):
        assert name in known
        assert name.translate(str.maketrans(bare)) == symbol.translate(str.maketrans(bare))
        assert len(name) == len(symbol)
    assert spelled(spelled(symbol)) == spelled(symbol)


@pytest.mark.parametrize(
    ("symbol", "known", "found"),
    [
        ("BRK.B", ["BRK-A", "BRK-B", "BRKB"], ["BRK-B"]),
        ("BRK.B", ["BRK/B", "BRK-B"], ["BRK-B", "BRK/B"]),  # all that could be meant
        ("BRK.B", ["BRK-A", "BRKB", "BRK"], ["BRKB"]),  # the same letters
        ("ABR.A", ["ABR_A", "ABR"], ["ABR_A"]),
        ("SAP", ["SAP.DE", "SAPE"], ["SAP.DE"]),  # of another exchange
        ("SAP.DE", ["SAP", "SAP.F"], ["SAP", "SAP.F"]),
        ("DEMO-9", [f"DEMO-{i}" for i in range(5)], ["DEMO-4"]),  # a root that many have says nothing
        ("GOOGL", ["GOOG", "GE"], ["GOOG"]),
        ("LEH", ["GE", "IBM", "MMM"], []),  # nobody is like it
        ("X", [], []),
    ],
)
def test_the_nearest_symbol_is_one_that_may_have_been_meant(symbol: str, known: list[str], found: list[str]) -> None:
    assert Lookalikes(known).of(symbol) == found
