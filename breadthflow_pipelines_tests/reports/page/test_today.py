"""The first screen says what the store says, how old thrusts are, and what is not known."""

import datetime as dt
from dataclasses import replace

import polars as pl

from breadthflow_pipelines.reports.page.facts import Facts
from breadthflow_pipelines.reports.page.today import changes, sentence, today
from breadthflow_pipelines.signals.rules import RULES
from breadthflow_pipelines_tests.reports.page.invented import facts


def rows(of: Facts) -> dict[str, str]:
    """The table's rows as text."""
    body = today(of).find(".//tbody")
    assert body is not None
    return {"".join(row[0].itertext()): "".join(row[1].itertext()) for row in body}


def test_the_sentence_and_the_table_are_of_the_last_session() -> None:
    of = facts()
    now, score = of.breadth.row(-1, named=True), of.signals.filter(rule="breadth_score").row(-1, named=True)
    assert now["session"] == dt.date(2023, 12, 3)
    said = sentence(of)
    assert "at the close of Sunday 3 December 2023" in said
    assert f"{now['advances']} rose and {now['declines']} fell; final." in said
    assert f"score {score['value']:.1f} of 100, {score['action']}" in said
    table = rows(of)
    assert table["Breadth score"].startswith(f"{score['action']} {score['value']:.2f} of 100; buy from 60, sell to 40")
    assert table["Coverage"] == "300 of 300 members have a bar (100.0 %)"
    assert table["As of"] == "the close of 2023-12-03, as known since 2024-05-06 21:30 UTC"
    assert table["State"] == "final"


def test_a_thrust_is_as_old_as_its_sessions_and_ends_with_its_quarter() -> None:
    of = facts()
    thrusts = [event for event in of.events if RULES[event["rule"]].dimension]
    last = thrusts[-1]
    sessions = of.breadth["session"].to_list()
    for age in (0, 1, 59):
        through = sessions[min(len(sessions) - 1, sessions.index(last["session"]) + age)]
        before = _through(of, through)
        age = len(before.breadth) - 1 - sessions.index(last["session"])
        when = "today" if age == 0 else "1 session ago" if age == 1 else f"{age} sessions ago"
        assert f"{when}, counts for {59 - age} more" in rows(before)["Active thrusts"]
    silent = replace(of, signals=of.signals.filter(pl.col("rule").is_in(["breadth_score", "conviction"])))
    assert rows(silent)["Active thrusts"] == "none in the last quarter"


def _through(of: Facts, session: dt.date) -> Facts:
    until = pl.col("session") <= session
    return replace(of, breadth=of.breadth.filter(until), signals=of.signals.filter(until))


def test_what_would_change_it_is_the_catalogue_s_own_where_it_has_it() -> None:
    of = facts()
    now = of.now
    mcclellan, ratio, zweig = changes(of)
    assert f"stays there with net advances of {now['mcclellan_unchanged_at']:+,.0f}" in mcclellan
    assert f"reaches zero with {now['mcclellan_zero_at']:+,.0f}, of 300 issues" in mcclellan
    assert "mcclellan_oversold_recovery" in ratio
    assert "zweig_breadth_thrust" in zweig


def test_a_thrust_that_is_armed_says_what_fires_it_and_another_what_arms_it() -> None:
    of = facts()
    averages = pl.Series([0.5] * 699 + [0.41])
    low = replace(of, breadth=of.breadth.with_columns(zweig_ema=averages))
    needed = 100 * (0.4 * 11 / 2 - 0.41 * 9 / 2)  # T' = T + 2/11 (x - T), by hand: 35.5
    arms = f"is armed below 0.4, with {needed:.1f} % of the issues that move advancing"
    assert list(changes(low))[-1] == f"Zweig's average, now 0.410: zweig_breadth_thrust {arms}"
    armed = replace(of, breadth=of.breadth.with_columns(zweig_ema=averages.scatter(695, 0.39)))
    fires = "fires above 0.615, not within one session"  # 0.615 * 11/2 - 0.41 * 9/2 is more than all
    assert list(changes(armed))[-1] == f"Zweig's average, now 0.410: zweig_breadth_thrust {fires}"


def test_a_session_that_lost_its_breadth_has_no_signal_either() -> None:
    of = facts()
    gone = of.events[-1]["session"]
    without = replace(of, breadth=of.breadth.filter(pl.col("session") != gone))
    assert gone not in {event["session"] for event in without.events}
    assert "of 100" in rows(without)["Breadth score"]


def test_a_short_history_is_unknown_and_not_zero() -> None:
    of = facts(sessions=1)
    table = rows(of)
    assert sentence(of).startswith("small has no score at the close of")
    assert table["Breadth score"] == "not known yet: history is too short"
    assert table["What would change it"] == "not known yet"
    zweig_alone = facts(sessions=100)  # McClellan's slower trend is not known before its 136th observation
    assert [line.partition(",")[0] for line in changes(zweig_alone)] == ["Zweig's average"]


def test_a_measure_of_an_earlier_session_is_not_told_as_that_of_the_last() -> None:
    of = facts()
    last = of.now["session"]
    late = replace(of, signals=of.signals.filter((pl.col("rule") != "breadth_score") | (pl.col("session") != last)))
    score, conviction = (of.signals.filter(rule=rule) for rule in ("breadth_score", "conviction"))
    before = score.row(-2, named=True)
    said = sentence(late)
    assert said.startswith("small has no score at the close of Sunday 3 December 2023: ")
    assert f"the last score, of {before['session']}, was {before['value']:.1f} of 100; " in said
    assert f"conviction {conviction['value'][-1]:.0f} of 4, {conviction['action'][-1]}; " in said
    assert f", of {before['session']}; confidence" in rows(late)["Breadth score"]


def test_published_counts_have_issues_and_no_members() -> None:
    nobody = pl.lit(None, pl.Int64)
    of = facts(members=nobody, priced=nobody, coverage=pl.lit(None, pl.Float64), unchanged=pl.lit(40))
    assert rows(of)["Coverage"] == "counts that the exchange publishes, of 340 issues"


def test_a_provisional_session_says_so_and_names_the_last_final_one() -> None:
    of = facts()
    state = pl.when(pl.int_range(pl.len()) < 698).then(pl.lit("final")).otherwise(pl.lit("provisional"))
    provisional = replace(of, breadth=of.breadth.with_columns(state=state))
    assert sentence(provisional).endswith("; provisional.")
    assert rows(provisional)["State"].endswith("the last final session is 2023-12-01")
