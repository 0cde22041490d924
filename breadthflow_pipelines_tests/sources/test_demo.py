import datetime as dt

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from breadthflow_pipelines.calendar_file import Change
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sessions import ExchangeCalendar, exchange_calendar
from breadthflow_pipelines.sources import demo
from breadthflow_pipelines.sources.demo import BROKEN_ROWS, DemoMarket
from breadthflow_pipelines.sources.protocol import BAR_SCHEMA, MEMBER_SCHEMA, SECURITY_SCHEMA, Outcome

FIRST, LAST = dt.date(2016, 1, 4), dt.date(2025, 12, 31)  # New York's first session of 2016; ten years later
ALWAYS = "XAAA.SYN"  # company 0, in the market from first to last
PINNED = [(90.64, 5790845.0), (97.67, 13420905.0), (235.42, 17126436.0)]  # its close and volume on three sessions


def collected(market: DemoMarket, start: dt.date = FIRST, end: dt.date = LAST) -> pl.DataFrame:
    chunks = [chunk.bars for chunk in market.bars(None, start, end)]
    return pl.concat(chunks).sort("session", "symbol", "close")


def verdicts(market: DemoMarket, symbols: list[str], start: dt.date, end: dt.date) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    for chunk in market.bars(symbols, start, end):
        found.update(chunk.outcomes)
    return found


def as_known_on(intervals: pl.DataFrame, date: dt.date) -> pl.DataFrame:
    """What somebody knew of these intervals on that date: nothing that began later, no end that came later."""
    return intervals.filter(pl.col("valid_from") <= date).with_columns(
        valid_to=pl.when(pl.col("valid_to") <= date).then("valid_to")
    )


@pytest.fixture(scope="module")
def calendar() -> ExchangeCalendar:
    return exchange_calendar("XNYS")


@pytest.fixture(scope="module")
def market(calendar: ExchangeCalendar) -> DemoMarket:
    return DemoMarket(calendar, last_session=LAST)


@pytest.fixture(scope="module")
def bars(market: DemoMarket) -> pl.DataFrame:
    return collected(market)


@pytest.fixture(scope="module")
def sound(bars: pl.DataFrame) -> pl.DataFrame:
    """The bars without the declared broken rows."""
    declared = pl.DataFrame([(row.symbol, row.session) for row in BROKEN_ROWS], ["symbol", "session"], orient="row")
    return bars.join(declared, on=["symbol", "session"], how="anti").sort("symbol", "session")


@pytest.mark.parametrize(
    "earlier",
    [
        dt.date(2017, 8, 11),  # one session before a company leaves whose symbol is given away later
        dt.date(2018, 6, 11),  # the first session of a company under its new symbol
        dt.date(2022, 6, 17),  # a Friday with a row on the Saturday after it
        dt.date(2025, 12, 30),  # yesterday
    ],
)
def test_a_day_more_changes_nothing_before_it(calendar, market, bars, earlier):
    before = DemoMarket(calendar, last_session=earlier)
    assert_frame_equal(collected(before), bars.filter(pl.col("session") <= earlier))
    assert_frame_equal(before.securities(), as_known_on(market.securities(), earlier))
    assert_frame_equal(before.members(), as_known_on(market.members(), earlier))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (dt.date(2019, 3, 1), dt.date(2019, 3, 31)),  # a month, as partitions ask for it
        (dt.date(2023, 12, 20), dt.date(2024, 1, 10)),  # across two chunks
        (dt.date(2022, 6, 18), dt.date(2022, 6, 19)),  # only the Saturday row: its Friday is not asked for
        (dt.date(2023, 9, 12), dt.date(2023, 9, 12)),  # only the session with a doubled row
    ],
)
def test_a_range_asked_for_alone_equals_the_same_days_of_everything(calendar, bars, start, end):
    alone = DemoMarket(calendar, last_session=LAST)
    asked = collected(alone, start, end)
    assert asked.height > 0
    assert_frame_equal(asked, bars.filter(pl.col("session").is_between(start, end)))


def test_asking_for_some_symbols_gives_their_bars_and_no_others(market, bars):
    some = [ALWAYS, BROKEN_ROWS[-1].symbol]
    got = pl.concat(chunk.bars for chunk in market.bars(some, FIRST, LAST)).sort("session", "symbol")
    assert_frame_equal(got, bars.filter(pl.col("symbol").is_in(some)), check_row_order=False)


def test_the_past_of_the_default_seed_is_pinned(sound):
    # Stores hold this past already: if a new numpy or an edit moves it, every bar of every demo store is revised.
    pinned = sound.filter(pl.col("symbol") == ALWAYS, pl.col("session").is_in([FIRST, dt.date(2020, 3, 2), LAST]))
    assert pinned.select("close", "volume").rows() == PINNED


def test_seeds_make_different_markets(calendar, bars):
    other = collected(DemoMarket(calendar, seed=1970, last_session=LAST))
    same = bars.join(other, on=["symbol", "session"]).select((pl.col("close") == pl.col("close_right")).mean()).item()
    assert same < 0.01


def test_shape_is_that_of_a_market_of_74_symbols_over_ten_years(market, bars):
    chunks = list(market.bars(None, dt.date(1990, 1, 1), dt.date(2100, 1, 1)))
    assert [chunk.bars["session"].dt.year().unique().to_list() for chunk in chunks] == [[y] for y in range(2016, 2026)]
    assert all(chunk.bars.schema == BAR_SCHEMA and chunk.bars.height < 75_000 for chunk in chunks)
    assert sum(chunk.bars.height for chunk in chunks) == bars.height > 150_000
    assert market.describe().symbols == bars["symbol"].n_unique()
    assert abs(market.describe().symbols - 74) <= 3  # the few latest listings may lie ahead
    assert market.securities()["sector"].n_unique() == 11 + 1  # and nobody said
    assert (market.describe().first_session, market.describe().last_session) == (FIRST, LAST)
    assert "synthetic" in market.describe().about
    assert market.synthetic


def test_every_session_and_nothing_else_is_traded(calendar, sound):
    assert sorted(sound["session"].unique()) == calendar.between(FIRST, LAST)


def test_a_change_of_the_calendar_moves_no_bar_of_another_day(bars: pl.DataFrame) -> None:
    closed, opened = dt.date(2017, 3, 15), dt.date(2018, 6, 16)  # a Saturday
    changes = (Change(closed, "closed", "a storm", 2), Change(opened, "open", "a test", 3))
    market = DemoMarket(ExchangeCalendar("XNYS", changes), last_session=LAST)
    got = collected(market)
    saturday = got.filter(session=opened)
    assert_frame_equal(got.filter(pl.col("session") != opened), bars.filter(pl.col("session") != closed))
    friday = bars.filter(session=dt.date(2018, 6, 15)).select("symbol", before="close")
    moves = saturday.join(friday, on="symbol").select(pl.col("close") / pl.col("before"))["close"]
    assert saturday.height == friday.height > 55
    assert 0.8 < moves.min() < 1 < moves.max() < 1.2  # type: ignore[operator]  # a day like any other


def test_a_company_has_a_bar_on_each_session_of_its_symbols_intervals(calendar, market, bars):
    sessions = pl.DataFrame({"session": calendar.between(FIRST, LAST)})
    held = market.securities().join_where(
        sessions,
        pl.col("session") >= pl.col("valid_from"),
        pl.col("session") < pl.col("valid_to").fill_null(dt.date.max),
    )
    expected = held.select("symbol", "session")
    assert expected.is_duplicated().sum() == 0  # a symbol never names two companies at once
    additional = [(row.symbol, row.session) for row in BROKEN_ROWS if row.double_of is not None]
    expected = pl.concat([expected, pl.DataFrame(additional, expected.schema, orient="row")])
    assert_frame_equal(bars.select("symbol", "session"), expected, check_row_order=False)


def test_exactly_the_declared_rows_are_broken_and_for_the_declared_reason(calendar, bars):
    prices = ("open", "high", "low", "close")
    finite = pl.all_horizontal(pl.col(price).is_finite() for price in prices)
    low, high = pl.col("low") * (1 - 1e-4), pl.col("high") * (1 + 1e-4)
    rules = {  # in the order in which a row is blamed: a bar turned upside down has its close outside, too
        "price missing or not finite": ~finite,
        "price not positive": pl.any_horizontal(pl.col(price) <= 0 for price in prices),
        "high below low": pl.col("high") < pl.col("low"),
        "open outside the bar": (pl.col("open") < low) | (pl.col("open") > high),
        "close outside the bar": (pl.col("close") < low) | (pl.col("close") > high),
        "volume negative": pl.col("volume") < 0,
        "no closed session of XNYS": ~pl.col("session").is_in(calendar.between(FIRST, LAST)),
        "another row of the session differs": pl.struct("symbol", "session").is_duplicated(),
    }
    blame = pl.coalesce(pl.when(rule).then(pl.lit(reason)) for reason, rule in rules.items())
    found = bars.with_columns(reason=blame).filter(pl.col("reason").is_not_null())
    declared = [(row.symbol, row.session, row.reason) for row in BROKEN_ROWS]
    assert sorted(found.select("symbol", "session", "reason").rows()) == sorted(declared)
    assert len({row.reason for row in BROKEN_ROWS}) == len(rules)
    assert len(BROKEN_ROWS) == 9
    assert bars.filter(pl.struct("symbol", "session").is_duplicated())["close"].n_unique() == 2


def test_broken_rows_leave_all_others_as_they_would_have_been(calendar, sound, monkeypatch):
    monkeypatch.setattr(demo, "BROKEN_ROWS", ())
    honest = collected(DemoMarket(calendar, last_session=LAST)).sort("symbol", "session")
    assert honest.height == sound.height + len({(r.symbol, r.session) for r in BROKEN_ROWS}) - 1  # Saturday has none
    assert_frame_equal(honest.join(sound, on=["symbol", "session"], how="semi"), sound)


def test_bars_are_plausible(sound):
    prices = pl.col("open", "high", "low", "close")
    assert sound.select(prices.round(2).eq(prices).all()).row(0) == (True,) * 4  # a one-cent tick
    assert sound["volume"].eq(sound["volume"].round(0)).all()  # whole shares
    assert sound["close"].eq(sound["close_adjusted"]).all()  # no dividends
    assert 2 < sound["low"].min() < sound["high"].max() < 2000
    inside = pl.min_horizontal("open", "close").ge(pl.col("low")) & pl.max_horizontal("open", "close").le(
        pl.col("high")
    )
    assert sound.select(inside.all()).item()


def test_a_session_without_a_trade_repeats_the_close_before(sound):
    quiet = sound.with_columns(before=pl.col("close").shift().over("symbol")).filter(pl.col("volume") == 0)
    assert 35 <= quiet.height <= 145
    assert quiet.select(pl.all_horizontal(pl.col("before", "open", "high", "low") == pl.col("close")).all()).item()


def breadth(sound: pl.DataFrame) -> pl.DataFrame:
    """Advances, declines, unchanged and total volume of each session."""
    change = pl.col("close") - pl.col("close").shift().over("symbol")
    return (
        sound.with_columns(change=change)
        .group_by("session")
        .agg(
            up=(pl.col("change") > 0).sum(),
            down=(pl.col("change") < 0).sum(),
            flat=(pl.col("change") == 0).sum(),
            volume=pl.col("volume").sum(),
        )
        .filter(pl.col("up") + pl.col("down") > 0)
        .sort("session")
    )


def test_breadth_thrusts_happen_a_few_times_in_ten_years(sound):
    average, since_low, thrusts = None, 99, 0
    for up, down in breadth(sound).select("up", "down").iter_rows():
        share = up / (up + down)
        average = share if average is None else average + (share - average) * 2 / 11
        since_low = 0 if average < 0.40 else since_low + 1
        if average > 0.615 and since_low <= 10:
            thrusts, since_low = thrusts + 1, 99
    assert 3 <= thrusts <= 12


def test_breadth_spreads_as_in_a_real_market(sound):
    counts = breadth(sound).with_columns(share=pl.col("up") / (pl.col("up") + pl.col("down")))
    share = counts["share"]
    assert 0 < share.min() < 0.10
    assert 0.90 < share.max() < 1
    assert 0.12 < share.std() < 0.30
    assert 0.45 < share.median() < 0.55
    assert 1 / 500 < counts["flat"].sum() / (counts["up"] + counts["down"] + counts["flat"]).sum() < 1 / 100
    one_sided = (share < 0.25) | (share > 0.75)
    assert counts.filter(one_sided)["volume"].mean() > 1.1 * counts.filter(~one_sided)["volume"].mean()


def test_companies_keep_their_key_while_symbols_move(market):
    known = market.securities()
    assert known.schema == SECURITY_SCHEMA
    begun_later = known.filter(pl.col("valid_from") > FIRST)
    assert begun_later["source_key"].n_unique() == pytest.approx(12, abs=3)
    per_company = known.sort("valid_from").group_by("source_key", maintain_order=True).agg(pl.all())
    gone = per_company.filter(pl.col("valid_to").list.last().is_not_null())
    assert gone.height == pytest.approx(6, abs=3)
    renamed = per_company.filter(pl.col("symbol").list.n_unique() == 2)
    assert renamed.height >= 1
    assert renamed["valid_to"].list.first().to_list() == renamed["valid_from"].list.last().to_list()
    reused = known.sort("valid_from").group_by("symbol").agg(pl.all()).filter(pl.col("source_key").list.n_unique() == 2)
    assert reused.height >= 1
    assert (reused["valid_to"].list.first() < reused["valid_from"].list.last()).all()
    assert known["symbol"].str.ends_with(".SYN").all()
    assert (
        known.select("source_key", "name", "sector").n_unique()
        == known["source_key"].n_unique()
        == known["name"].n_unique()
    )
    assert known.filter(pl.col("sector").is_null())["source_key"].n_unique() == 4


def test_members_are_most_of_the_listed_at_any_time(calendar, market):
    members, known = market.members(), market.securities()
    assert members.schema == MEMBER_SCHEMA
    for year in range(2016, 2026):
        day = calendar.back(dt.date(year, 11, 1), 0)
        inside = [
            set(t.filter(pl.col("valid_from") <= day, pl.col("valid_to").fill_null(dt.date.max) > day)["symbol"])
            for t in (members, known)
        ]
        assert inside[0] < inside[1]  # nobody is a member under a symbol that it does not bear
        assert 0.85 < len(inside[0]) / len(inside[1]) < 0.95


def test_members_join_leave_come_back_and_change_symbols(market):
    members = market.members().sort("symbol", "valid_from")
    renewed = members.with_columns(before=pl.col("valid_to").shift().over("symbol")).drop_nulls("before")
    returned = renewed.filter(pl.col("valid_from") > pl.col("before"))
    assert returned.height > 3
    assert renewed.height == returned.height  # no overlap, and no interval that goes on where another ended
    gone = set(market.securities().filter(pl.col("valid_to").is_not_null())["valid_to"])
    left = members.drop_nulls("valid_to")
    assert left.filter(pl.col("valid_to").is_in(list(gone))).height > 5  # with their listing
    assert left.filter(~pl.col("valid_to").is_in(list(gone))).height > 5  # though they stayed listed
    assert members.filter(pl.col("valid_from") > FIRST).height > 15
    old, new = demo.symbol_name(47), demo.symbol_name(121)
    assert members.filter(pl.col("symbol") == old)["valid_to"].to_list() == [dt.date(2022, 2, 14)]
    assert members.filter(pl.col("symbol") == new)["valid_from"].to_list() == [dt.date(2022, 2, 14)]


@pytest.mark.parametrize(
    ("symbol", "start", "end", "expected"),
    [
        (ALWAYS, dt.date(2025, 12, 1), dt.date(2026, 1, 31), Outcome.FETCHED),  # the part that exists was given
        (ALWAYS, dt.date(2026, 1, 1), dt.date(2026, 1, 31), Outcome.NOT_YET),  # wholly after the last session
        (ALWAYS, dt.date(2015, 1, 1), dt.date(2015, 12, 31), Outcome.ABSENT),  # before there was a market
        (ALWAYS, dt.date(2024, 5, 31), dt.date(2024, 5, 1), Outcome.ABSENT),  # no day at all
        ("AAPL", dt.date(2026, 1, 1), dt.date(2026, 1, 31), Outcome.ABSENT),  # no such symbol, now or later
        (demo.symbol_name(56), dt.date(2018, 1, 1), dt.date(2018, 12, 31), Outcome.ABSENT),  # between its two owners
        (demo.symbol_name(17), dt.date(2026, 1, 1), dt.date(2026, 1, 31), Outcome.ABSENT),  # given up by a renaming
        (demo.symbol_name(17), dt.date(2017, 1, 1), dt.date(2019, 12, 31), Outcome.FETCHED),  # given up on the way
    ],
)
def test_each_symbol_gets_one_verdict(market, symbol, start, end, expected):
    assert verdicts(market, [symbol], start, end) == {symbol: expected}


def test_asking_for_all_speaks_of_every_known_symbol(market):
    found: dict[str, Outcome] = {}
    for chunk in market.bars(None, dt.date(2016, 2, 1), dt.date(2016, 2, 29)):
        found |= chunk.outcomes
    assert found.keys() == set(market.securities()["symbol"])
    assert set(found.values()) == {Outcome.FETCHED, Outcome.ABSENT}


def test_reaches_through_the_last_closed_session_by_default(calendar):
    assert DemoMarket(calendar).describe().last_session == calendar.last_closed()


def test_a_market_that_ends_before_it_begins_is_refused(calendar):
    with pytest.raises(RequestError, match=r"no session through 2015-12-31: it begins in 2016-01"):
        DemoMarket(calendar, last_session=dt.date(2015, 12, 31))
