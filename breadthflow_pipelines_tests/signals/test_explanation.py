"""Evidence: what stores already hold, there and back, and what people are told of it."""

import datetime as dt
import json

import polars as pl
import pytest

from breadthflow_pipelines.reports.tables import text
from breadthflow_pipelines.signals.calibration import CHOSEN
from breadthflow_pipelines.signals.explanation import (
    Armed,
    Calibration,
    ConvictionEvidence,
    EventEvidence,
    Evidence,
    LastThrust,
    Row,
    ScoreEvidence,
    ScorePart,
    encoded,
    encoded_scores,
    evidence_of,
    explanation,
)
from breadthflow_pipelines.warehouse.database import Database, rows_of

ARMED = EventEvidence(
    margin=3.910376,
    levels={"armed_at_or_below": -100.0, "fires_above": -70.0},
    armed=Armed(dt.date(2021, 11, 8), 2, -117.489251),
    held_back="buy",
)
CALIBRATED = EventEvidence(
    margin=3.071254,
    levels={"fires_above": 97.04},
    calibration=Calibration(
        year=2025,
        stretch=1.2,
        sample_from=dt.date(2020, 1, 1),
        sample_to=dt.date(2024, 4, 23),
        sample_sessions=1438,
        sample_events=2,
        sample_allowed=3.709127,
    ),
)
UNKNOWN = EventEvidence(
    margin=0.0, levels={"fires_at_or_above": 1, "index_trend_50_at_or_above": 1}, unknown=["index_trend_50"]
)
SCORE = ScoreEvidence(
    {
        "above_50": ScorePart(70.319609, 0.2, 0.724755),
        "momentum": ScorePart(-12.349529, 0.2, -0.171526),
        "above_200": ScorePart(None, 0.15, None),
    },
    weight=0.85,
)
SCORE_HELD_BACK = ScoreEvidence({"up_volume_trend": ScorePart(100.0, 0.1, -0.5)}, weight=0.1, held_back="sell")
CONVINCED = ConvictionEvidence(
    ["advances", "highs", "up_volume"],
    {
        "advances": LastThrust(dt.date(2020, 7, 5), ["deemer_breakaway_momentum", "two_to_one_thrust"]),
        "highs": LastThrust(dt.date(2020, 7, 10), ["new_high_surge"]),
    },
    held_back="buy",
)
NOTHING_ON = ConvictionEvidence(["advances", "highs"], {})

# What was written before evidence had types: stores hold this, and anything else would be a changed signal.
STORED: list[tuple[str, Evidence, str]] = [
    (
        "mcclellan_oversold_recovery",
        ARMED,
        '{"armed_session": "2021-11-08", "extreme": -117.489251, "gap": 2, "levels": {"armed_at_or_below": -100.0, '
        '"fires_above": -70.0}, "margin": 3.910376, "held_back": "buy"}',
    ),
    (
        "whaley_udt2_calibrated",
        CALIBRATED,
        '{"calibration": {"sample_allowed": 3.709127, "sample_events": 2, "sample_from": "2020-01-01", '
        '"sample_sessions": 1438, "sample_to": "2024-04-23", "stretch": 1.2, "year": 2025}, "levels": {"fires_above": '
        '97.04}, "margin": 3.071254}',
    ),
    (
        "hindenburg_omen",
        UNKNOWN,
        '{"levels": {"fires_at_or_above": 1, "index_trend_50_at_or_above": 1}, "margin": 0.0, "unknown": '
        '["index_trend_50"]}',
    ),
    (
        "breadth_score",
        SCORE,
        '{"components": {"above_200": {"value": null, "weight": 0.15, "z": null}, "above_50": {"value": 70.319609, '
        '"weight": 0.2, "z": 0.724755}, "momentum": {"value": -12.349529, "weight": 0.2, "z": -0.171526}}, "weight": '
        "0.85}",
    ),
    (
        "conviction",
        CONVINCED,
        '{"computable": ["advances", "highs", "up_volume"], "on": {"advances": {"fired": "2020-07-05", "rules": '
        '["deemer_breakaway_momentum", "two_to_one_thrust"]}, "highs": {"fired": "2020-07-10", "rules": '
        '["new_high_surge"]}}, "held_back": "buy"}',
    ),
    ("conviction", NOTHING_ON, '{"computable": ["advances", "highs"], "on": {}}'),
    (
        "breadth_score",
        SCORE_HELD_BACK,
        '{"components": {"up_volume_trend": {"value": 100.0, "weight": 0.1, "z": -0.5}}, "weight": 0.1, "held_back": '
        '"sell"}',
    ),
]


def written(evidence: Evidence) -> str:
    if not isinstance(evidence, ScoreEvidence):
        return encoded(evidence)
    values = {name: part.value for name, part in evidence.components.items()}
    z = {f"{name}_z": part.z for name, part in evidence.components.items()}
    schema = {**dict.fromkeys((*values, *z, "weight"), pl.Float64), "held_back": pl.String}
    rows = pl.DataFrame(
        [{**values, **z, "weight": evidence.weight, "held_back": evidence.held_back}, dict.fromkeys(schema)],
        schema=schema,
    )
    return encoded_scores(rows, {name: part.weight for name, part in evidence.components.items()})[0]


@pytest.mark.parametrize(("rule", "evidence", "stored"), STORED)
def test_evidence_says_what_it_always_said_and_is_read_back(rule: str, evidence: Evidence, stored: str) -> None:
    assert json.loads(written(evidence)) == json.loads(stored)
    assert evidence_of(rule, json.loads(stored)) == evidence


def test_evidence_is_written_letter_by_letter_as_postgresql_gives_it_back(database: Database) -> None:
    """So that unchanged signals are known as such without being sent to the store."""
    for _, evidence, _ in STORED:
        given_back = rows_of(database, "SELECT %s::jsonb::text AS text", (written(evidence),))[0]["text"]
        assert given_back == written(evidence)


def test_evidence_of_another_rule_is_refused() -> None:
    with pytest.raises(KeyError):
        evidence_of("breadth_score", json.loads(STORED[0][2]))


def test_a_calibration_has_the_fields_that_are_chosen() -> None:
    assert set(Calibration._fields) == set(CHOSEN)


@pytest.mark.parametrize(
    ("rule", "stored", "told"),
    [
        (
            "mcclellan_oversold_recovery",
            STORED[0][2],
            [
                "gap          2",
                "margin       3.91",
                "extreme      -117.49",
                "held_back    buy",
                "armed_session 2021-11-08",
            ],
        ),
        (
            "whaley_udt2_calibrated",
            STORED[1][2],
            [
                "margin       3.07",
                "calibration  year 2025, stretch 1.20, sample_to 2024-04-23, sample_from 2020-01-01, sample_events 2, "
                "sample_allowed 3.71, sample_sessions 1,438",
            ],
        ),
        ("hindenburg_omen", STORED[2][2], ["margin       0.000", "unknown      index_trend_50"]),
        (
            "breadth_score",
            STORED[3][2],
            [
                "weight       0.850",
                [
                    {"components": "above_200", "z": None, "value": None, "weight": 0.15},
                    {"components": "above_50", "z": 0.724755, "value": 70.319609, "weight": 0.2},
                    {"components": "momentum", "z": -0.171526, "value": -12.349529, "weight": 0.2},
                ],
            ],
        ),
        (
            "conviction",
            STORED[4][2],
            [
                [
                    {
                        "on": "advances",
                        "fired": dt.date(2020, 7, 5),
                        "rules": ["deemer_breakaway_momentum", "two_to_one_thrust"],
                    },
                    {"on": "highs", "fired": dt.date(2020, 7, 10), "rules": ["new_high_surge"]},
                ],
                "held_back    buy",
                "computable   advances, highs, up_volume",
            ],
        ),
        ("conviction", STORED[5][2], ["on           ", "computable   advances, highs"]),
    ],
)
def test_evidence_is_told_fact_by_fact(rule: str, stored: str, told: list[str | list[Row]]) -> None:
    signal = {
        "universe": "NYSE",
        "segment": "ALL",
        "session": dt.date(2025, 1, 13),
        "rule": rule,
        "action": "hold",
        "state": "final",
        "value": 1.0,
        "threshold": 0.615,
        "confidence": 0.5,
        "calibrated": True,
        "evidence": json.loads(stored),
    }
    explained = explanation(signal, text)
    assert explained.title == "HOLD NYSE ALL at the close of 2025-01-13 (final)"
    assert explained.parts[3] == "Value        1.00 against 0.615"
    assert explained.parts[5:] == told
    uncalibrated = explanation({**signal, "calibrated": False}, text).parts
    assert uncalibrated[5] == "Calibration  none: the thresholds were not published for NYSE ALL"
    assert [*uncalibrated[:5], *uncalibrated[6:]] == explained.parts


def test_the_levels_of_an_event_stand_with_the_parameters_of_its_rule() -> None:
    signal = {
        "universe": "wide",
        "segment": "ALL",
        "session": dt.date(2025, 1, 13),
        "rule": "whaley_udt2_calibrated",
        "action": "buy",
        "state": "final",
        "value": 99.0,
        "threshold": 97.04,
        "confidence": 0.5,
        "calibrated": True,
        "evidence": json.loads(STORED[1][2]),
    }
    explained = explanation(signal, text)
    assert explained.parts[2] == "Parameters   window 2, quiet 1, merge 20, fires_above 97.04"
    assert explained.columns[-1] == "whaley_udt2"
