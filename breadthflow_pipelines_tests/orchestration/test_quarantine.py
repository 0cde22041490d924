"""A bar that cannot be right is left out of all that is made of bars, whenever it is seen, until people decide."""

import datetime as dt
from collections.abc import Callable

import pytest

from breadthflow_pipelines.orchestration.run_reports import RunReport
from breadthflow_pipelines.warehouse import decisions
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST, SESSIONS, SmallMarket

DAY = dt.date(2023, 6, 15)
JUNE = (dt.date(2023, 6, 1), dt.date(2023, 6, 30))
NOVEMBERS_LAST = dt.date(2023, 11, 30)
# Who left out which bar is beside the tables that are made of the others, and not among them.
MADE_OF_BARS = ("breadth_counts", "breadth_indicators", "market_signals", "price_indicators", "symbol_signals")


def plant(small: SmallMarket, symbol: str, day: dt.date, factor: float = 0.3) -> None:
    """Scale the prices of a bar, as a vendor does that has the wrong split for a day."""
    rows = small.rows[symbol]
    place = next(i for i, row in enumerate(rows) if row[0] == str(day))
    session, *prices, volume = rows[place]
    rows[place] = (session, *(round(float(price) * factor, 2) for price in prices), volume)
    small.write()


def found(store: Store) -> list[tuple[object, ...]]:
    """symbol, session, rule, status of what rules flag."""
    return store.rows(
        "SELECT symbol, session, rule, status FROM quarantined_bars JOIN security_symbols USING (security_id) "
        "ORDER BY session, symbol"
    )


def of_day(store: Store, day: dt.date) -> tuple[int, int]:
    """priced, gap."""
    query = "SELECT priced, gap FROM breadth_counts WHERE segment = 'ALL' AND session = %s"
    return store.rows(query, day)[0]  # type: ignore[return-value]


def failed(report: RunReport) -> dict[str, str]:
    return {check.name: check.detail for check in report.checks if check.status == "failed"}


def due(store: Store) -> int:
    return int(store.rows("SELECT count(*) FROM recomputations")[0][0])


def decide(store: Store, decision: str, day: dt.date = DAY, symbol: str = "AAA") -> None:
    decisions.decide_bar(store.database, symbol, day, decision, "ann", "looked it up")


def after(day: dt.date) -> dt.date:
    return SESSIONS[SESSIONS.index(day) + 1]


def made(store: Store) -> dict[str, list[tuple[object, ...]]]:
    columns = (
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND column_name <> 'computed_at'"
    )
    rows = {}
    for table in MADE_OF_BARS:
        names = ", ".join(sorted(name for (name,) in store.rows(columns, table)))
        rows[table] = store.rows(f"SELECT {names} FROM {table} ORDER BY {names}")
    return rows


def test_a_healthy_market_has_nobody_in_quarantine(filled: Store) -> None:
    assert found(filled) == []
    said = filled.metadata("quarantined_bars", "2023-06")
    assert (said["quarantined"], said["proposed"]) == (0, 0)


@pytest.mark.slow
def test_a_spike_is_kept_as_it_came_and_left_out_of_the_counts(filled: Store) -> None:
    priced, gap = of_day(filled, DAY)
    next_priced, next_gap = of_day(filled, after(DAY))
    plant(filled.small, "AAA", DAY)
    report = filled.run(*JUNE)
    assert (report.trouble, failed(report)) == (None, {})
    assert found(filled) == [("AAA", DAY, "spike", "quarantined")]
    assert of_day(filled, DAY) == (priced - 1, gap)
    assert of_day(filled, after(DAY)) == (next_priced, next_gap + 1)  # nobody knows what it did that day
    source = next(row for row in filled.small.rows["AAA"] if row[0] == str(DAY))
    query = "SELECT open, high, low, close, volume FROM bars JOIN security_symbols USING (security_id) "
    assert filled.rows(f"{query} WHERE symbol = 'AAA' AND session = %s", DAY) == [source[1:]]
    said = filled.metadata("quarantined_bars")
    assert said["by_rule"]["spike"] == 1
    assert "AAA" in str(said["newest"])
    assert filled.metadata("quarantined_bars", "2023-06")["quarantined"] == 1
    assert due(filled) == 0


@pytest.mark.slow
def test_everything_is_as_if_the_source_had_never_given_the_bar(store: Store) -> None:
    good = list(store.small.rows["AAA"])
    store.small.rows["AAA"] = [row for row in good if row[0] != str(DAY)]
    store.small.write()
    assert store.run().trouble is None
    without = made(store)
    store.small.rows["AAA"] = good
    plant(store.small, "AAA", DAY)
    report = store.run()
    assert found(store) == [("AAA", DAY, "spike", "quarantined")]
    assert {table: rows == without[table] for table, rows in made(store).items()} == dict.fromkeys(MADE_OF_BARS, True)
    assert report.figures["breadth_counts"]["rows_revised"] == 0


@pytest.mark.slow
def test_a_released_bar_is_counted_again_by_the_next_run_and_stays_until_the_source_changes_it(filled: Store) -> None:
    with_it = of_day(filled, DAY)
    plant(filled.small, "AAA", DAY)
    filled.run(*JUNE)
    decide(filled, "released")
    assert due(filled) > 0
    assert filled.daily(LAST).trouble is None  # it reads the last month, and goes back for what is due
    assert of_day(filled, DAY) == with_it
    assert "because of changes in quarantined_bars" in filled.metadata("breadth_counts")["computed"]

    filled.run(*JUNE)
    assert found(filled) == [("AAA", DAY, "spike", "released")]

    plant(filled.small, "AAA", DAY, 0.5)
    filled.run(*JUNE)
    assert found(filled) == [("AAA", DAY, "spike", "quarantined")]
    assert of_day(filled, DAY)[0] == with_it[0] - 1


@pytest.mark.slow
def test_a_corrected_bar_comes_back_by_itself(filled: Store) -> None:
    with_it = of_day(filled, DAY)
    good = list(filled.small.rows["AAA"])
    plant(filled.small, "AAA", DAY)
    filled.run(*JUNE)
    filled.small.rows["AAA"] = good
    filled.small.write()
    filled.run(*JUNE)
    assert found(filled) == [("AAA", DAY, "spike", "lapsed")]
    assert of_day(filled, DAY) == with_it


@pytest.mark.slow
def test_a_rule_that_finds_too_many_stops_the_run_and_leaves_out_none(filled: Store) -> None:
    before = filled.contents()
    many = ("AAA", "CCC", "DDD", "EEE")
    for symbol in many:
        plant(filled.small, symbol, DAY)
    report = filled.run(*JUNE)
    assert report.exit_status == 1
    assert set(failed(report)) == {"quarantine_bounded"}
    detail = failed(report)["quarantine_bounded"]
    assert detail.startswith("4 bars proposed (spike 4) in 2023-06 (since ")
    assert f"breadthflow rejected --status proposed --from {DAY:%Y-%m}-01 --to {DAY:%Y-%m}-30" in detail
    assert "breadth_counts" not in report.figures
    assert [row[3] for row in found(filled)] == ["proposed"] * 4
    assert filled.contents()["breadth_counts"] == before["breadth_counts"]

    decisions.decide_proposals(filled.database, None, "confirmed", "ann", "the vendor's file of that day is wrong")
    report = filled.run(*JUNE)
    assert (report.trouble, failed(report)) == (None, {})
    assert [row[3] for row in found(filled)] == ["confirmed"] * 4
    priced = next(row for row in before["breadth_counts"] if row[1:3] == ("ALL", DAY))[4]
    assert of_day(filled, DAY)[0] == int(priced) - 4


@pytest.mark.slow
def test_daily_runs_leave_out_what_a_backfill_leaves_out_over_the_end_of_a_month(
    store: Store, frozen: Callable[[dt.date], None]
) -> None:
    # A spike is seen on the next evening: November's last on the first of December, when November is read again.
    plant(store.small, "AAA", NOVEMBERS_LAST)
    place = SESSIONS.index(NOVEMBERS_LAST)
    priced = []
    for number, session in enumerate(SESSIONS[place - 1 : place + 3]):
        store.small.write(through=session)
        frozen(session)
        report = store.daily(session) if number else store.run(FIRST, session)
        assert (report.trouble, failed(report)) == (None, {})
        if session >= NOVEMBERS_LAST:
            priced.append(of_day(store, NOVEMBERS_LAST)[0])
    assert priced == [priced[1] + 1, priced[1], priced[1]]
    assert due(store) == 0
    assert store.run(FIRST, SESSIONS[place + 2]).rows_changed == 0


@pytest.mark.slow
def test_a_spike_seen_after_its_month_was_closed_leaves_that_month_too(filled: Store) -> None:
    # AAA does not trade for a week after it; then November is read no more.
    plant(filled.small, "AAA", NOVEMBERS_LAST)
    silent = SESSIONS[SESSIONS.index(NOVEMBERS_LAST) + 1 :][:5]
    filled.small.rows["AAA"] = [row for row in filled.small.rows["AAA"] if row[0] not in map(str, silent)]
    filled.small.write()
    days = ", ".join(f"'{day}'" for day in silent)
    aaa = "(SELECT security_id FROM security_symbols WHERE symbol = 'AAA')"
    filled.execute(f"DELETE FROM bars WHERE security_id = {aaa} AND session IN ({days})")
    closes = "open = open * 0.3, high = high * 0.3, low = low * 0.3, close = close * 0.3"
    filled.execute(f"UPDATE bars SET {closes} WHERE security_id = {aaa} AND session = '{NOVEMBERS_LAST}'")
    priced = of_day(filled, NOVEMBERS_LAST)[0]

    filled.run(dt.date(2023, 12, 1), LAST)
    assert found(filled) == [("AAA", NOVEMBERS_LAST, "spike", "quarantined")]
    assert of_day(filled, NOVEMBERS_LAST)[0] == priced - 1
    assert due(filled) == 0


def status_of(report: RunReport, name: str) -> tuple[str, str]:
    return next((check.status, check.detail) for check in report.checks if check.name == name)


@pytest.mark.slow
def test_a_history_on_another_scale_from_a_day_on_is_doubted_until_somebody_decides(store: Store) -> None:
    for day in SESSIONS[SESSIONS.index(DAY) :]:
        plant(store.small, "AAA", day, 0.01)  # pounds for pence
    report = store.run()
    assert (report.trouble, report.exit_status, failed(report)) == (None, 0, {})
    assert found(store) == [("AAA", DAY, "scale", "doubted")]
    assert of_day(store, DAY) == of_day(store, after(DAY))  # the bar stays
    status, told = status_of(report, "histories_plausible")
    assert status == "warned"
    assert "AAA goes from " in told
    assert f" on {SESSIONS[SESSIONS.index(DAY) - 1]} to " in told
    assert "breadthflow rejected --status doubted" in told

    decide(store, "released")
    report = store.run()
    assert status_of(report, "histories_plausible")[0] == "passed"
    assert found(store) == [("AAA", DAY, "scale", "released")]
    decide(store, "confirmed")
    assert store.run().trouble is None
    assert of_day(store, DAY)[0] == of_day(store, after(DAY))[0] - 1  # left out, and the next one is a gap


@pytest.mark.slow
def test_a_symbol_that_another_company_takes_over_is_doubted_and_begins_anew(store: Store) -> None:
    first, again = dt.date(2023, 1, 31), dt.date(2023, 9, 1)
    rows = store.small.rows["AAA"]
    store.small.rows["AAA"] = [row for row in rows if not str(first) < str(row[0]) < str(again)]
    store.small.write()
    report = store.run()
    assert (report.trouble, failed(report)) == (None, {})
    assert found(store) == [("AAA", again, "long silence", "doubted")]
    status, told = status_of(report, "histories_plausible")
    assert (status, "AAA has no bar for 213 days, from 2023-01-31 (" in told) == ("warned", True)
    no_prior = "SELECT session FROM breadth_counts WHERE segment = 'ALL' AND no_prior = 1 AND session > '2023-03-31'"
    assert [day for (day,) in store.rows(f"{no_prior} ORDER BY 1")] == [again, dt.date(2023, 9, 5)]  # and LLL's first
    averages = (
        "SELECT count(*) FILTER (WHERE sma_20 IS NOT NULL), count(*) FROM price_indicators "
        "JOIN security_symbols USING (security_id) WHERE symbol = 'AAA' AND session >= %s"
    )
    new = sum(str(row[0]) >= str(again) for row in rows)
    assert store.rows(averages, again) == [(new - 19, new)]


@pytest.mark.slow
def test_a_feed_that_changes_its_unit_stops_the_run(store: Store) -> None:
    for symbol in ("AAA", "CCC", "DDD", "EEE"):
        for day in SESSIONS[SESSIONS.index(DAY) :]:
            plant(store.small, symbol, day, 100)
    report = store.run()
    assert set(failed(report)) == {"quarantine_bounded"}
    assert {row[2:] for row in found(store)} == {("scale", "proposed")}


def test_a_session_without_volumes_is_a_warning_and_nobody_is_left_out(filled: Store) -> None:
    filled.execute(f"UPDATE bars SET volume = 0 WHERE session = '{DAY}'")
    report = filled.check("session_plausible", "quarantine_bounded")
    assert {check.name: check.status for check in report.checks} == {
        "session_plausible": "warned",
        "quarantine_bounded": "passed",
    }
    assert report.exit_status == 0
    assert str(DAY) in next(check.detail for check in report.checks if check.name == "session_plausible")


def test_lost_coverage_is_provisional_and_the_last_good_session_stays_in_sight(filled: Store) -> None:
    from breadthflow_pipelines.warehouse.signal_listing import last_scores

    filled.execute(
        f"UPDATE market_signals SET state = 'provisional' WHERE session > '{SESSIONS[-5]}'",
        f"UPDATE market_signals SET state = 'final' WHERE session = '{SESSIONS[-5]}'",
    )
    told = [(row["session"], row["state"], row["rule"]) for row in last_scores(filled.database)]
    assert told == [
        (session, state, rule)
        for session, state in ((SESSIONS[-5], "final"), (LAST, "provisional"))
        for rule in ("breadth_score", "conviction")
    ]
