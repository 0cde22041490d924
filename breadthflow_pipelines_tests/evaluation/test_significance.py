"""Rates, intervals, p-values and verdicts: by hand, by loops, and on markets in which the truth is known."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from breadthflow_pipelines.evaluation import rotation
from breadthflow_pipelines.evaluation.episodes import effective_n
from breadthflow_pipelines.evaluation.estimates import smallest_told
from breadthflow_pipelines.evaluation.family import FAMILY, Claim, Family
from breadthflow_pipelines.evaluation.outcomes import windows
from breadthflow_pipelines.evaluation.significance import (
    ACCURACY_SCHEMA,
    LEVEL,
    Judgement,
    accuracy,
    chance,
    chance_of_the_mean,
    judged,
    judged_alone,
    lift_interval,
    unlisted,
)
from breadthflow_pipelines.evaluation.trials import Trial
from breadthflow_pipelines.model.vocabulary import CHANCE, HORIZONS, NOT_JUDGED, SUGGESTIVE, SURVIVES
from breadthflow_pipelines.signals.rules import RULES
from breadthflow_pipelines_tests.evaluation import made
from breadthflow_pipelines_tests.evaluation.made import Floats

BUY, SELL = Claim("appel_time_trend", "buy"), Claim("hindenburg_omen", "sell")
UNPUBLISHED = Claim("new_high_surge", "buy")
TURNS = rotation.family_draws(2_000, seed=7)


def planted(dice: np.random.Generator, length: int, numbers: Floats, gain: float, held: int) -> Floats:
    """A walk that gains so much more, in all, over the sessions that are held after each event."""
    more = np.zeros(length)
    for number in numbers:
        more[number + 2 : number + 2 + held] += gain / held
    return np.asarray(np.exp(np.cumsum(dice.normal(0.0002, 0.01, length) + more)))


def sparse(dice: np.random.Generator, length: int, count: int, apart: int) -> Floats:
    """So many events, none nearer to another than that."""
    free = length - (count - 1) * apart
    return np.sort(dice.choice(free, count, replace=False)) + np.arange(count) * apart


def clustered(dice: np.random.Generator, length: int, runs: int) -> Floats:
    starts = dice.choice(length - 40, runs, replace=False)
    return np.unique(np.concatenate([np.arange(start, start + dice.integers(1, 40)) for start in starts]))


def test_a_trial_by_hand() -> None:
    level = np.array([1.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0])
    one = made.trial(level, [0, 2, 5], 1)  # in on 1, 3 and 6; of the ten windows from 1 on five rise, the even ones
    assert one.change.tolist() == [1.0, -0.5] * 5
    found = chance(one)
    # hits: 2 of 3. By turning: on even shifts two of three are even, on odd ones one
    assert found.p_rotation == 5 / 10
    assert found.base_matched == 0.5
    assert found.scores[0] == pytest.approx(1.0)  # (2 - 1.5) / 0.5


@pytest.mark.parametrize("claim", [BUY, SELL])
def test_p_values_are_those_of_a_loop_over_rotations(claim: Claim) -> None:
    dice = np.random.default_rng(11)
    level = made.walk(dice, 330)
    one = made.trial(level, clustered(dice, 330, 5), 21, claim, made.trailing(level))
    right = one.change > 0 if claim.side == "buy" else one.change < one.change.mean()
    count = len(right)
    hits, means = [], []
    for shift in range(count):
        places = (np.flatnonzero(one.event) + shift) % count
        hits.append(right[places].mean())
        means.append(one.change[places].mean())
    found = chance(one)
    assert found.p_rotation == np.mean(np.array(hits) >= hits[0] - 1e-12)
    as_far = np.array(means) >= means[0] - 1e-12 if claim.side == "buy" else np.array(means) <= means[0] + 1e-12
    assert chance_of_the_mean(one) == np.mean(as_far)
    assert found.scores[0] == pytest.approx((hits[0] - right.mean()) / np.std(hits))


def test_the_matched_base_is_that_of_sessions_with_the_same_drawdown() -> None:
    dice = np.random.default_rng(12)
    level = made.walk(dice, 600, spread=0.02)
    fallen = made.trailing(level)
    one = made.trial(level, clustered(dice, 600, 6), 5, BUY, fallen)
    bounds = (-0.20, -0.10, -0.05)

    def bucket(fall: float) -> int:
        return sum(fall >= bound for bound in bounds)

    buckets = np.array([bucket(fall) for fall in one.trailing])
    assert set(buckets) == {0, 1, 2, 3}
    rates = [(one.change[buckets == bucket(fall)] > 0).mean() for fall in one.trailing[one.event]]
    assert chance(one).base_matched == pytest.approx(np.mean(rates))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"basis": ""}, "no index, and no returns of members"),
        ({"claim": Claim("whaley_adt5_capitulation", "hold")}, "it claims nothing"),
        ({"event": []}, "no event"),
        ({"event": [3, 40, 80, 120]}, "4 of the 5 episodes that are needed"),
        ({"event": [3, 4, 5, 6, 7, 8, 9]}, "1 of the 5 episodes that are needed"),
        (
            {"event": [0, 30, 60, 90, 120, 150]},  # 63 sessions from 0 and from 90; 150 is too soon
            "with 2 windows that do not overlap, even all of them right could be chance",
        ),
    ],
)
def test_why_a_trial_cannot_be_judged(change: dict[str, object], reason: str) -> None:
    level = made.walk(np.random.default_rng(1), 400, drift=0.002)  # most windows rise, so few of them prove little
    event = change.pop("event", [0, 30, 60, 90, 120, 150])
    one = replace(made.trial(level, event, 63), **change)  # type: ignore[arg-type]
    assert judged_alone(one) == Judgement(NOT_JUDGED, reason)


def test_no_window_has_closed() -> None:
    one = made.trial(made.walk(np.random.default_rng(1), 40), [3], 5).known_before(made.day(6))
    assert judged_alone(one).reason == "on no session could it speak and has the window closed"


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """The hit rate beyond the base rate is made to be 0.2, with events that come in pairs that agree."""
    held, widths = 0, []
    for seed in range(150):
        dice = np.random.default_rng(seed)
        change = np.where(dice.random(4000) < 0.5, 1.0, -1.0)
        starts = sparse(dice, 3900, 30, 30)
        right = np.where(dice.random(30) < 0.7, 1.0, -1.0)
        event = np.zeros(4000, dtype=bool)
        for start, value in zip(starts, right, strict=True):
            event[start : start + 2], change[start : start + 2] = True, value
        one = replace(made.trial(np.ones(4006), [0], 5), event=event, change=change)
        low, high = lift_interval(one)
        truth = 0.7 - one.right.mean()
        held += low <= truth <= high
        widths.append(high - low)
    assert held / 150 >= 0.95 - 2 * (0.95 * 0.05 / 150) ** 0.5
    # of a binomial with 30 draws: 2 * 1.96 * sqrt(0.7 * 0.3 / 30)
    assert np.mean(widths) == pytest.approx(0.328, rel=0.15)


def test_a_record_without_a_miss_still_has_an_interval() -> None:
    one = replace(made.trial(np.ones(4006), sparse(np.random.default_rng(1), 3900, 12, 30), 5))
    change = np.where(np.arange(4000) % 2 == 0, 1.0, -1.0)
    change[one.event] = 1.0
    low, high = lift_interval(replace(one, change=change))
    assert high == pytest.approx(0.5, abs=0.01)
    assert low == pytest.approx(1 / (1 + 1.959964**2 / 12) - 0.5, abs=0.01)  # Wilson's for 12 of 12, by hand


def noise(seed: int, horizon: int, claim: Claim, *, runs: bool) -> Trial:
    dice = np.random.default_rng(seed)
    numbers = clustered(dice, 2_400, 12) if runs else dice.choice(2_400, 40, replace=False)
    return made.trial(made.walk(dice, 2_400), numbers, horizon, claim)


def false_verdicts(seeds: range, horizon: int, claim: Claim, *, runs: bool) -> tuple[int, int]:
    found = [judged_alone(noise(seed, horizon, claim, runs=runs)).verdict for seed in seeds]
    return sum(verdict == SUGGESTIVE for verdict in found), sum(verdict != NOT_JUDGED for verdict in found)


NOISE = [
    (5, BUY, False),  # windows that hardly overlap
    (21, BUY, True),  # events in runs, as a score has them, and windows that overlap
    (63, SELL, True),  # the same of a sell, whose base is the mean
    (126, BUY, False),  # some twenty windows in all
]


@pytest.mark.parametrize(("horizon", "claim", "runs"), NOISE)
def test_noise_is_called_noise(horizon: int, claim: Claim, runs: bool) -> None:
    wrong, of = false_verdicts(range(60), horizon, claim, runs=runs)
    assert of >= 50
    assert wrong <= binom.ppf(0.999, of, LEVEL)  # 10 of 60


@pytest.mark.slow
@pytest.mark.parametrize(("horizon", "claim", "runs"), NOISE)
def test_noise_is_called_noise_at_the_stated_rate(horizon: int, claim: Claim, runs: bool) -> None:
    wrong, of = false_verdicts(range(1_000, 1_500), horizon, claim, runs=runs)
    assert of >= 400
    assert 0.01 <= wrong / of <= LEVEL + 3 * (LEVEL * (1 - LEVEL) / of) ** 0.5


def test_families_of_noise_seldom_have_a_survivor() -> None:
    """Twelve rules, some of which are nearly the same, on one market: the family errs, not the rule."""
    families = 60
    wrong = alone = 0
    for seed in range(families):
        dice = np.random.default_rng(seed)
        level = made.walk(dice, 1_500)
        lists = [dice.choice(1_450, 45, replace=False) for _ in range(6)]
        lists += [np.unique(np.concatenate([numbers[:40], dice.choice(1_450, 5)])) for numbers in lists]
        found = judged([made.trial(level, numbers, 5, UNPUBLISHED) for numbers in lists], FAMILY, TURNS)
        alone += any(one.verdict == SUGGESTIVE for one in found)
        wrong += any(one.verdict == SURVIVES for one in found)
        assert all((one.p_family or 0) >= one.chance.p_rotation for one in found if one.chance)
        assert {one.members for one in found} == {12}
    assert wrong <= binom.ppf(0.999, families, LEVEL)
    assert alone > 10  # without the family a third of them would have been sold as something


def test_a_planted_effect_is_found_at_the_stated_power() -> None:
    """Each event lifts its month by 3 %. The power of the binomial test says how often that must be found."""
    horizon, seeds = 21, 80
    found, hits, bases, ns = 0, [], [], []
    for seed in range(seeds):
        dice = np.random.default_rng(seed)
        numbers = sparse(dice, 3_300, 40, 40)
        one = made.trial(planted(dice, 3_400, numbers, 0.03, horizon), numbers, horizon)
        found += judged_alone(one).verdict == SUGGESTIVE
        hits.append(one.right[one.event].mean())
        bases.append(one.right.mean())
        ns.append(effective_n(one.events, horizon))
    n, base, hit = round(np.mean(ns)), float(np.mean(bases)), float(np.mean(hits))
    assert n == 40
    power = binom.sf(round(n * smallest_told(np.array([n]), np.array([base]), LEVEL)[0]) - 1, n, hit)
    assert 0.6 < power < 0.95  # or the test would tell little
    assert found / seeds == pytest.approx(power, abs=3 * (power * (1 - power) / seeds) ** 0.5)


def test_a_strong_effect_survives_its_family() -> None:
    dice = np.random.default_rng(3)
    numbers = sparse(dice, 3_300, 60, 30)
    level = planted(dice, 3_400, numbers, 0.06, 21)
    others = [made.trial(level, dice.choice(3_300, 60, replace=False), 21, UNPUBLISHED) for _ in range(20)]
    real = made.trial(level, numbers, 21, UNPUBLISHED, made.trailing(level))
    found = judged([real, *others], FAMILY, TURNS)
    assert found[0].verdict == SURVIVES
    assert {one.verdict for one in found[1:]} <= {CHANCE, SUGGESTIVE}
    assert found[0].p_family is not None
    assert found[0].p_family < 0.01  # not 1 / 2001: turned by a session or two, the events still meet what they lifted
    assert (found[0].family, found[0].members) == (FAMILY.name, 21)


def test_what_did_not_last_after_its_publication_does_not_survive() -> None:
    """The same effect, but only before the day on which the rule was published."""
    claim = Claim("whaley_adt5", "buy")
    published = RULES["whaley_adt5"].published
    assert published is not None
    eve = (published - made.FIRST).days  # session 4015
    dice = np.random.default_rng(4)
    before, after = sparse(dice, eve - 100, 60, 30), eve + 30 + sparse(dice, 1_000, 12, 60)
    level = planted(dice, eve + 1_200, before, 0.06, 21)
    for number in after:
        level[number + 2 :] *= 0.97  # and from then on it loses
    lasting = made.trial(level, before, 21, claim, made.trailing(level))
    faded = made.trial(level, np.concatenate([before, after]), 21, claim, made.trailing(level))
    assert judged([lasting], FAMILY, TURNS)[0].verdict == SURVIVES
    assert judged([faded], FAMILY, TURNS)[0].verdict == SUGGESTIVE


def test_buying_any_dip_is_no_skill() -> None:
    """Falls of more than 10 % are bought back. Events on any such session do well, and no better than the others."""
    rotated = matched = judgeable = 0
    for seed in range(40):
        dice = np.random.default_rng(seed)
        logs = np.zeros(2_400)
        for i in range(1, 2_400):
            fallen = logs[i - 1] - logs[max(0, i - 252) : i].max() < -0.105
            logs[i] = logs[i - 1] + dice.normal(0.0035 if fallen else -0.0003, 0.011)
        level = np.exp(logs)
        fallen_to = made.trailing(level)
        dips = np.flatnonzero(fallen_to[:2_300] < -0.10)
        one = made.trial(level, dice.choice(dips, 40, replace=False), 21, UNPUBLISHED, fallen_to)
        found = judged([one], FAMILY, TURNS)[0]
        if found.chance is not None:
            judgeable += 1
            rotated += (found.p_family or 1) <= LEVEL
            matched += found.chance.p_matched <= LEVEL
            assert (found.verdict == SURVIVES) <= (found.chance.p_matched <= LEVEL)
    assert judgeable > 30
    assert rotated > 0.4 * judgeable
    assert matched <= binom.ppf(0.999, judgeable, LEVEL)


def table(family: Family = FAMILY, universe: str = "NASDAQ", *, registered: bool = True) -> pl.DataFrame:
    """Four thousand sessions from 2000 on, an effect, a score that says something every day, and a set-up."""
    dice = np.random.default_rng(6)
    numbers = sparse(dice, 3_900, 50, 40)
    level = made.levels(planted(dice, 4_200, numbers, 0.05, 21), universe)
    said = pl.concat(
        [
            made.signals(numbers, universe=universe),
            made.signals(range(500, 900), "breadth_score", "buy", universe),
            made.signals(range(900, 4_200), "breadth_score", "hold", universe),
            made.signals([700, 1_900], "whaley_adt5_capitulation", "hold", universe),
            made.signals([10, 20], "conviction", "buy", "AMEX"),  # a universe without an index
        ]
    )
    could = pl.concat(
        [
            made.everywhere(4_200, "appel_time_trend", universe),
            made.everywhere(4_200, "breadth_score", universe).slice(300),
            made.everywhere(4_200, "whaley_adt5_capitulation", universe),
            made.everywhere(4_200, "conviction", "AMEX"),
        ]
    )
    return accuracy(said, could, windows(level, made.sessions(4_300)), family, registered=registered)


@pytest.fixture(scope="module")
def whole() -> pl.DataFrame:
    return table()


def test_every_rule_has_its_rows_and_none_is_left_out_in_silence(whole: pl.DataFrame) -> None:
    assert whole.schema == ACCURACY_SCHEMA
    assert set(whole["universe"]) == {"NASDAQ", "AMEX"}
    assert set(whole["rule"]) == set(RULES)
    of_all = whole.filter(era="all")
    assert of_all.height == 2 * 5 * (len(FAMILY.claims) + 2)  # and two that claim nothing
    assert set(of_all["horizon"]) == set(HORIZONS)
    assert whole.filter(pl.col("verdict") == NOT_JUDGED)["reason"].null_count() == 0
    assert (
        whole.filter(pl.col("verdict") != NOT_JUDGED)["reason"].null_count()
        == whole.filter(pl.col("verdict") != NOT_JUDGED).height
    )
    assert set(whole.filter(universe="AMEX")["reason"]) == {"no index, and no returns of members"}


def test_the_planted_effect_is_in_the_table(whole: pl.DataFrame) -> None:
    row = whole.row(
        by_predicate=(pl.col("rule") == "appel_time_trend")
        & (pl.col("horizon") == 21)
        & (pl.col("era") == "all")
        & (pl.col("universe") == "NASDAQ"),
        named=True,
    )
    assert (row["events"], row["open"], row["episodes"], row["effective_n"]) == (50, 0, 50, 50)
    assert row["eligible"] == 4_200 - 22
    assert (row["first_session"], row["last_session"]) == (made.day(0), made.day(4_177))
    assert row["lift"] == pytest.approx(row["hit_rate"] - row["base_rate"])
    assert row["lift_low"] < row["lift"] < row["lift_high"]
    assert row["verdict"] == SURVIVES
    assert row["mean"] > row["base_mean"]
    assert row["p10"] < row["median"] < row["p90"]
    assert row["drawdown"] <= 0
    assert max(row["p_rotation"], row["p_family"], row["p_holm"], row["p_matched"]) <= LEVEL
    assert row["basis"] == "price"


def test_eras_part_the_whole_and_claim_no_more_than_a_hint(whole: pl.DataFrame) -> None:
    rule = whole.filter(universe="NASDAQ", rule="appel_time_trend", horizon=21)
    counts = dict(rule.select("era", "events").iter_rows())
    assert counts["before_decimals"] + counts["since_decimals"] == counts["all"]
    assert counts["before_publication"] + counts["since_publication"] == counts["all"]
    parts = rule.filter(pl.col("era") != "all")
    assert parts["p_family"].null_count() == parts.height
    assert SURVIVES not in set(parts["verdict"])
    assert SUGGESTIVE in set(parts["verdict"])


def test_a_score_is_judged_by_its_days_and_a_setup_only_described(whole: pl.DataFrame) -> None:
    score = whole.filter(universe="NASDAQ", rule="breadth_score", action="buy", horizon=5, era="all").row(0, named=True)
    assert (score["events"], score["episodes"], score["effective_n"]) == (400, 1, 80)
    assert score["eligible"] == 4_200 - 300 - 6
    assert score["reason"] == "1 of the 5 episodes that are needed"
    setup = whole.filter(universe="NASDAQ", rule="whaley_adt5_capitulation", horizon=5, era="all").row(0, named=True)
    assert (setup["events"], setup["action"], setup["reason"]) == (2, "hold", "it claims nothing")
    assert setup["hit_rate"] is None
    assert setup["mean"] is not None


def test_no_signal_is_lost_without_being_counted() -> None:
    """One is an event, one waits, one was made in the dark, and of one the exit has no price."""
    level = made.levels(made.walk(np.random.default_rng(1), 100)).filter(pl.col("session") != made.day(56))
    could = made.everywhere(100).filter(pl.col("session") != made.day(20))
    got = accuracy(made.signals([10, 20, 50, 97]), could, windows(level, made.sessions(100)))
    row = got.filter(rule=made.RULE, horizon=5, era="all").row(0, named=True)
    assert (row["events"], row["open"], row["left_out"]) == (1, 1, 2)


def test_entries_at_the_open_are_told_beside_those_at_the_close() -> None:
    dice = np.random.default_rng(2)
    walk = made.walk(dice, 400)
    intraday = dice.normal(0, 0.01, 400)
    numbers = [*range(10, 380, 20)]
    could = made.everywhere(400)
    rows = {
        name: accuracy(made.signals(numbers), could, windows(made.levels(walk, intraday=moves), made.sessions(400)))
        .filter(rule=made.RULE, horizon=5, era="all")
        .row(0, named=True)
        for name, moves in (("known", list(intraday)), ("none", None), ("some", [None, None, 0.0] + [0.1] * 397))
    }
    own = [walk[i + 6] / (walk[i + 1] / (1 + intraday[i + 1])) - 1 for i in range(394)]
    events = [own[i] for i in numbers if i < 394]
    known = rows["known"]
    assert known["mean_from_open"] == pytest.approx(np.mean(events))
    assert known["hit_rate_from_open"] == pytest.approx(np.mean([change > 0 for change in events]))
    assert known["base_rate_from_open"] == pytest.approx(np.mean([change > 0 for change in own]))
    for row in (rows["none"], rows["some"]):
        assert {row[name] for name in ("hit_rate_from_open", "base_rate_from_open", "mean_from_open")} == {None}
    assert {row["hit_rate"] for row in rows.values()} == {known["hit_rate"]}  # they decide nothing


def test_a_universe_that_was_not_registered_is_a_family_of_its_own(whole: pl.DataFrame) -> None:
    own = table(universe="mine").filter(pl.col("p_family").is_not_null())
    assert set(own["family"]) == {f"{FAMILY.name} mine"}
    registered = whole.filter(pl.col("p_family").is_not_null())
    assert own["p_family"].to_list() == registered["p_family"].to_list()


def test_what_was_not_registered_has_the_same_figures_and_is_never_more_than_suggestive() -> None:
    registered, alone = table(universe="mine"), table(universe="mine", registered=False)
    family = ["verdict", "p_family", "p_holm", "family", "family_members"]
    assert alone.drop(family).equals(registered.drop(family), null_equal=True)
    assert alone.select(family[1:]).null_count().row(0) == (alone.height,) * 4
    assert "survives" not in set(alone["verdict"])
    was = registered["verdict"].replace("survives", "suggestive")
    assert alone["verdict"].to_list() == was.to_list()


def test_the_same_question_has_the_same_answer(whole: pl.DataFrame) -> None:
    assert table().equals(whole, null_equal=True)


def test_statistics_are_imported_when_they_are_asked_for() -> None:
    """They take seconds, and every run judges."""
    script = (
        "import sys, breadthflow_pipelines.evaluation.record, breadthflow_pipelines.evaluation.backtest;"
        "print(sorted({'arch', 'scipy', 'statsmodels'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_claim_without_a_record_is_named(whole: pl.DataFrame) -> None:
    assert unlisted(whole, ["NASDAQ", "AMEX"]).is_empty()
    lost = (pl.col("rule") == "conviction") & (pl.col("horizon") == 63) & (pl.col("universe") == "AMEX")
    without = whole.filter(~lost | (pl.col("era") != "all"))  # its eras are no record of the whole
    assert unlisted(without, ["NASDAQ", "AMEX"]).rows() == [("AMEX", "conviction", "buy", 63)]
    assert unlisted(whole, ["NYSE"]).height == 5 * (len(FAMILY.claims) + 2)
