"""What the page's script draws from equals the frames and the evidence, and cannot break out of its element."""

import base64
import datetime as dt
import gzip
import json
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from breadthflow_pipelines.model.vocabulary import SESSION_RULES
from breadthflow_pipelines.reports.page.catalogue import CHARTS, EVENT_RULES
from breadthflow_pipelines.reports.page.payload import packed, payload
from breadthflow_pipelines.reports.tables import text
from breadthflow_pipelines.signals.explanation import explanation
from breadthflow_pipelines_tests.reports.page.invented import facts

EPOCH = dt.date(1970, 1, 1)


def opened(content: str) -> dict[str, Any]:
    return dict(json.loads(gzip.decompress(base64.b64decode(content))))


def test_every_column_and_session_comes_back_as_it_was() -> None:
    of = facts()
    data = opened(packed(payload(of)))
    assert [EPOCH + dt.timedelta(days=day) for day in data["days"]] == of.breadth["session"].to_list()
    assert {"ad_line", "zweig_ema", "pct_above_50", "whaley_udt5", "new_lows", "conviction"} <= data["columns"].keys()
    for name, (decimals, values) in data["columns"].items():
        if name in of.breadth.columns:
            stored = of.breadth[name].to_list()
            assert [value is None for value in values] == [value is None for value in stored], name
            pairs = [(a, b) for a, b in zip(values, stored, strict=True) if b is not None]
            assert all(abs(a - b) <= 0.500001 / 10**decimals for a, b in pairs), name
    scores = dict(of.signals.filter(rule="breadth_score").select("session", "value").iter_rows())
    found = zip(of.breadth["session"], data["columns"]["breadth_score"][1], strict=True)
    assert {day: value for day, value in found if value is not None} == pytest.approx(scores, abs=0.0051)


def test_prices_of_any_size_can_be_drawn() -> None:
    of = facts(index_close=pl.lit(1e24))
    assert payload(of)["columns"]["index_close"][1][0] == 1e24


def test_equal_facts_are_packed_equally_and_cannot_end_the_script() -> None:
    assert packed(payload(facts())) == packed(payload(facts()))
    assert packed({"universe": "</script><script>alert(1)</script>"}).isascii()
    assert "<" not in packed({"universe": "</script>"})


def test_every_event_is_in_the_first_chart_and_in_the_chart_of_its_value() -> None:
    own = [rule for chart in CHARTS[1:] for rule in chart.rules]
    assert sorted(own) == sorted(EVENT_RULES) == sorted(CHARTS[0].rules)
    of = facts()
    data = payload(of)
    events = data["events"]
    assert [event["session"] for event in events[: len(of.events)]] == [str(event["session"]) for event in of.events]
    marked = {chart["name"]: [events[i]["rule"] for i in chart["marks"]] for chart in data["charts"]}
    assert marked["lines"] == [event["rule"] for event in of.events]
    assert "zweig_breadth_thrust" in marked["zweig"]
    assert {"whaley_adt5"} <= set(marked["advances"])


def test_the_evidence_is_in_the_words_of_explain() -> None:
    of = facts()
    last = pl.col("signal_id") == of.events[-1]["signal_id"]
    record = {"record_hit_rate": 0.7, "record_base_rate": 0.6, "record_n": 30, "verdict": "suggestive"}
    known = {name: pl.when(last).then(pl.lit(value)).otherwise(name) for name, value in record.items()}
    of = replace(of, signals=of.signals.with_columns(**known))
    signals = {row["signal_id"]: row for row in of.signals.iter_rows(named=True)}
    events = payload(of)["events"]
    assert {event["rule"] for event in events[-2:]} == {*SESSION_RULES}
    sessions = of.breadth["session"].to_list()
    for event in events:
        signal = signals[event["id"]]
        said = explanation({**signal, "evidence": json.loads(signal["evidence"])}, text)
        assert event["title"] == said.title
        told = "70% of 30, base 60%: suggestive (63 sessions, as known then)" if signal["record_n"] else "none: "
        assert event["parts"][0].startswith(f"Record       {told}")
        lines = [event["parts"][0], *(part for part in said.parts if isinstance(part, str))]
        assert [part for part in event["parts"] if isinstance(part, str)][: len(lines)] == lines
        behind = event["parts"][-1]
        assert tuple(behind["columns"]) == said.columns
        assert behind["rows"][-1][0] == str(signal["session"])
        assert sessions[event["at"]] == signal["session"]


def test_an_index_has_the_upper_pane() -> None:
    of = facts(index_close=pl.int_range(pl.len()) + 100.0)
    lines = payload(of)["charts"][0]
    assert [(series["column"], series["pane"]) for series in lines["series"]] == [("index_close", 0), ("ad_line", 1)]
