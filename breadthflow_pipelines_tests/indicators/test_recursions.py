"""Recursions of many histories at once, against one history at a time in plain Python."""

import random

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from breadthflow_pipelines.indicators.recursions import ROW, STATE, Recursion, followed
from breadthflow_pipelines_tests.examples import examples

RECURSIONS = {
    "average": Recursion(pl.col("x"), at=4, window=3, divisor=3, alpha=0.25),
    "part_of_a_sum": Recursion(2 * pl.col("x"), at=2, window=2, divisor=5, alpha=0.2, seed_told=False),
    "sum": Recursion(pl.col("x"), at=0, window=1, divisor=1, alpha=None),
    "with_gaps": Recursion(pl.col("y"), at=3, window=2, divisor=2, alpha=0.5, gaps=True),
}
NO_STATES = pl.DataFrame(schema={ROW: pl.Int64} | {name + STATE: pl.Float64 for name in RECURSIONS})

Values = list[float | None]


def twin(values: Values, recursion: Recursion, state: tuple[int, float] | None = None) -> Values:
    """The definition, bar by bar. state: a bar, and what the recursion was on it."""
    told: Values = []
    now: float | None = None
    for bar, value in enumerate(values):
        if state is None and bar == recursion.at:
            now = sum(each or 0 for each in values[bar - recursion.window + 1 : bar + 1]) / recursion.divisor
            told.append(now if recursion.seed_told else None)
            continue
        if state is not None and bar == state[0]:
            now = state[1]
        elif now is not None and value is not None:
            now += value if recursion.alpha is None else recursion.alpha * (value - now)
        told.append(now)
    return told


def histories(dice: random.Random) -> list[tuple[Values, Values]]:
    """The values x and y of some histories, of any lengths, several of which are the same."""
    lengths = [dice.choice((1, 2, 4, 5, 9, dice.randint(1, 40))) for _ in range(dice.randint(1, 9))]
    return [
        (
            [dice.gauss(10, 5) for _ in range(length)],
            [None if dice.random() < 0.3 else dice.gauss(10, 5) for _ in range(length)],
        )
        for length in lengths
    ]


def frame(of: list[tuple[Values, Values]]) -> pl.DataFrame:
    rows = [(bar, x, y) for xs, ys in of for bar, (x, y) in enumerate(zip(xs, ys, strict=True))]
    return pl.DataFrame(rows, schema={"bar": pl.Int64, "x": pl.Float64, "y": pl.Float64}, orient="row")


def expected(of: list[tuple[Values, Values]], states: dict[int, tuple[int, dict[str, float]]]) -> dict[str, Values]:
    told: dict[str, Values] = {}
    for name, recursion in RECURSIONS.items():
        told[name] = []
        for number, (x, y) in enumerate(of):
            values = y if name == "with_gaps" else [2 * each for each in x if each] if name == "part_of_a_sum" else x
            known = states.get(number)
            told[name] += twin(values, recursion, (known[0], known[1][name]) if known else None)
    return told


@examples(60)
@given(st.integers(0, 10**6))
def test_each_history_is_followed_as_if_it_were_alone(seed: int) -> None:
    of = histories(random.Random(seed))  # noqa: S311
    got = followed(frame(of), RECURSIONS, NO_STATES)
    for name, values in expected(of, {}).items():
        assert got[name].to_list() == values, name


@examples(60)
@given(st.integers(0, 10**6))
def test_histories_with_a_state_go_on_from_its_bar(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    of = histories(dice)
    known, rows, first = {}, [], 0
    for number, (x, _) in enumerate(of):
        if dice.random() < 0.5:
            bar, state = dice.randrange(len(x)), {name: dice.gauss(0, 9) for name in RECURSIONS}
            known[number] = (bar, state)
            rows.append({ROW: first + bar, **{name + STATE: value for name, value in state.items()}})
        first += len(x)
    got = followed(frame(of), RECURSIONS, pl.DataFrame(rows, schema=NO_STATES.schema))
    for name, values in expected(of, known).items():
        assert got[name].to_list() == values, name


def test_no_rows_have_all_columns() -> None:
    got = followed(frame([]), RECURSIONS, NO_STATES)
    assert got.is_empty()
    assert {got.schema[name] for name in RECURSIONS} == {pl.Float64()}
