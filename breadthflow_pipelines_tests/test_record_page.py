"""docs/record.md is what its figures say; that these are what real data gives is tested in e2e/test_market_data.py."""

from pathlib import Path
from types import ModuleType

import pytest

from breadthflow_pipelines.evaluation.family import FAMILY, SYMBOL_FAMILY
from breadthflow_pipelines.model.vocabulary import HORIZONS
from breadthflow_pipelines_tests.scripts import script

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def make_record() -> ModuleType:
    return script("make_record")


def test_the_page_is_what_the_figures_say(make_record: ModuleType) -> None:
    hint = "docs/record.md is stale: run .venv/bin/python docs/make_record.py"
    assert (
        make_record.page(make_record.read(), make_record.read(make_record.SYMBOL_FIGURES))
        == (ROOT / "docs" / "record.md").read_text()
    ), hint


def test_every_registered_claim_is_on_the_page(make_record: ModuleType) -> None:
    rows = {(row["universe"], row["rule"], row["action"], row["horizon"]) for row in make_record.read()}
    asked = {(claim.rule, claim.side) for claim in FAMILY.claims}
    assert {(u, *claim, h) for u in ("sp500", "NASDAQ") for claim in asked for h in HORIZONS} <= rows


def test_every_registered_claim_on_members_is_on_the_page(make_record: ModuleType) -> None:
    rows = make_record.read(make_record.SYMBOL_FIGURES)
    told = {(row["rule"], row["action"], row["horizon"]) for row in rows if row["verdict"]}
    assert told == {(claim.rule, claim.side, horizon) for claim in SYMBOL_FAMILY.claims for horizon in HORIZONS}


def test_the_figures_are_of_the_family_that_is_registered(make_record: ModuleType) -> None:
    found = {row["family"] for row in make_record.read()} - {None}
    assert found == {FAMILY.name}, "judge again, then run docs/make_record.py --figures"
