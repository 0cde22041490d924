"""Backtests in words and as a picture: beside holding, and beside the same trades at random times."""

import datetime as dt
from urllib.parse import unquote

import polars as pl

from breadthflow_pipelines.reports.backtests import growth_chart, worth_sentence

RULE = {"rule": "breadth_score", "cost": 10.0, "cagr": 0.0141, "cagr_as_good": 0.154}


def test_what_a_rule_made_stands_beside_holding_and_chance() -> None:
    said = worth_sentence("sp500", RULE, {"cagr": 0.091})
    assert said == (
        "**sp500**: following breadth_score made 1.4 % a year after costs of 10 basis points, holding 9.1 %; "
        "of 1,000 runs with the same trades at random times 15% made as much."
    )


def test_a_rule_that_never_left_its_base_is_not_compared_with_chance() -> None:
    assert worth_sentence("u", RULE | {"cagr_as_good": None}, {"cagr": 0.0}).endswith("holding 0.0 %.")


def test_the_picture_ends_with_both_wealths() -> None:
    days = [dt.date(2024, 1, 2), dt.date(2024, 1, 3)]
    growth = pl.DataFrame({"session": days, "wealth": [1.01, 1.25], "held": [0.99, 0.8]})
    picture = unquote(growth_chart("u: wealth", growth))
    assert "rule 1.25" in picture
    assert "holding 0.80" in picture
