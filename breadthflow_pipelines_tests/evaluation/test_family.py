import datetime as dt

import pytest

from breadthflow_pipelines.evaluation.family import FAMILY, SYMBOL_FAMILY, eras
from breadthflow_pipelines.model.vocabulary import HORIZONS
from breadthflow_pipelines.signals.rules import RULES
from breadthflow_pipelines.signals.symbols import SYMBOL_RULES

REGISTERED = {1: "36887818"}
OF_SYMBOLS = {1: "aef0583e"}


def test_what_is_registered_does_not_change_under_its_version() -> None:
    """Whoever adds a rule, a horizon or a universe raises the version, and writes its fingerprint here."""
    assert FAMILY.fingerprint == REGISTERED[FAMILY.version]
    assert FAMILY.name == f"{FAMILY.version}-{FAMILY.fingerprint}"


def test_what_is_registered_of_members_does_not_change_either() -> None:
    assert SYMBOL_FAMILY.fingerprint == OF_SYMBOLS[SYMBOL_FAMILY.version]
    rules = ("combined", *(rule.name for rule in SYMBOL_RULES))
    assert {(claim.rule, claim.side) for claim in SYMBOL_FAMILY.claims} == {
        (rule, side) for rule in rules for side in ("buy", "sell")
    }
    assert SYMBOL_FAMILY.horizons == HORIZONS


def test_every_rule_that_claims_something_is_registered_on_each_side_it_takes() -> None:
    claimed = {(claim.rule, claim.side) for claim in FAMILY.claims}
    events = {(name, rule.action) for name, rule in RULES.items() if rule.thrust and rule.action != "hold"}
    measures = {("breadth_score", "buy"), ("breadth_score", "sell"), ("conviction", "buy")}
    assert claimed == events | measures
    assert len(claimed) == len(FAMILY.claims)
    assert FAMILY.horizons == HORIZONS


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("breadth_score", {"all", "before_decimals", "since_decimals"}),  # nobody published it
        (
            "zweig_breadth_thrust",
            {"all", "before_decimals", "since_decimals", "before_publication", "since_publication"},
        ),
    ],
)
def test_eras_of_a_rule(rule: str, expected: set[str]) -> None:
    assert {era.name for era in eras(rule)} == expected


def test_two_eras_share_no_session_and_leave_none_out() -> None:
    known = {era.name: era for era in eras("zweig_breadth_thrust")}
    assert known["before_publication"].through == known["since_publication"].after == dt.date(1986, 12, 31)
    # 2001-04-09, a Monday: the first day on which all of NASDAQ was quoted in cents
    assert known["before_decimals"].through == known["since_decimals"].after == dt.date(2001, 4, 8)
