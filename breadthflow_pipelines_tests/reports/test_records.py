"""A record in one line: never without its base rate."""

from breadthflow_pipelines.reports.records import record_line


def test_a_record_stands_beside_its_base_rate_and_verdict() -> None:
    row = {"record_n": 19, "record_hit_rate": 14 / 19, "record_base_rate": 0.691, "verdict": "not distinguishable"}
    assert record_line(row) == "74% of 19, base 69%: not distinguishable"


def test_too_short_a_record_says_nothing() -> None:
    row = dict.fromkeys(("record_n", "record_hit_rate", "record_base_rate", "verdict"))
    assert record_line(row) is None
