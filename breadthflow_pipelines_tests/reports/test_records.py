"""A record in one line: never without its base rate."""

import pytest

from breadthflow_pipelines.reports.records import record_line, record_told, verdicts_sentence


def test_a_record_stands_beside_its_base_rate_and_verdict() -> None:
    row = {"record_n": 19, "record_hit_rate": 14 / 19, "record_base_rate": 0.691, "verdict": "not distinguishable"}
    assert record_line(row) == "74% of 19, base 69%: not distinguishable"


def test_too_short_a_record_says_nothing() -> None:
    row = dict.fromkeys(("record_n", "record_hit_rate", "record_base_rate", "verdict"))
    assert record_line(row) is None


@pytest.mark.parametrize(
    ("signal", "why"),
    [
        ({"action": "hold", "segment": "ALL"}, "a hold claims nothing"),
        ({"action": "buy", "segment": "Energy"}, "only universes as a whole are judged"),
        ({"action": "sell", "segment": "ALL"}, "too few such signals had been followed to their end by then"),
        ({"action": "sell"}, "too few such signals had been followed to their end by then"),  # of a member
    ],
)
def test_where_there_is_no_record_the_reason_stands(signal: dict[str, str], why: str) -> None:
    assert record_told({"record_n": None, **signal}, 63) == f"none: {why}"


def test_an_explanation_says_over_how_many_sessions_the_record_is() -> None:
    row = {"record_n": 19, "record_hit_rate": 14 / 19, "record_base_rate": 0.691, "verdict": "not distinguishable"}
    assert record_told(row, 63) == "74% of 19, base 69%: not distinguishable (63 sessions, as known then)"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            {"cannot be judged": 64, "not distinguishable": 75, "suggestive": 6},
            "Of 81 records that can be judged, none survives and 6 are suggestive; by chance alone about 4 would be. "
            "64 cannot be judged.",
        ),
        (
            {"not distinguishable": 17, "suggestive": 1, "survives": 2},
            "Of 20 records that can be judged, 2 survive and 1 is suggestive; by chance alone about 1 would be. "
            "0 cannot be judged.",
        ),
        (
            {"survives": 1},
            "Of 1 record that can be judged, 1 survives and 0 are suggestive; by chance alone about 0 would be. "
            "0 cannot be judged.",
        ),
        ({"cannot be judged": 145}, "None of 145 records can be judged, for want of signals or of an index."),
    ],
)
def test_verdicts_stand_beside_what_chance_would_give(found: dict[str, int], said: str) -> None:
    verdicts = [word for word, count in found.items() for _ in range(count)]
    assert verdicts_sentence(verdicts, 0.05) == said
