"""Which histories a source has restated on another scale, found by comparing stored with fetched bars. Pure.

A split or a dividend that the source applies to its history afterwards multiplies every bar before it by one ratio; a
correction changes single bars. After a restatement the whole stored past is on the old scale, although only the overlap
of stored and fetched bars can show it.
"""

import polars as pl

from breadthflow_pipelines.model.vocabulary import PRICES

JITTER = 2e-6  # relative; single-precision numbers of vendors vary in the seventh digit
FACTOR_ERROR = 1e-4  # relative; vendors round their factors
STEPS = (0.01, 0.0001)  # prices are rounded to cents, or to hundredths of cents, or not at all
LEAST_BARS = 2  # one of several bars on another scale is a correction; with an overlap of one bar, it is not known
TOGETHER_BARS = 10  # that moved one way, if only by a step: by chance one of 500 such runs, at most
# In one run; some 2 % of large companies split in a year.
MOST_RESCALED = 0.05  # of the securities held ...
FEW_RESCALED = 5  # ... or so many, however small the market
EXPLAINED = 0.8  # of the bars on the other scale: a late correction may lie among them


def restated(stored: pl.DataFrame, fetched: pl.DataFrame) -> pl.DataFrame:
    """The securities whose history is on another scale now: security_id, price_ratio, adjusted_ratio, compared.

    stored, fetched: security_id, session, open, high, low, close, close_adjusted; one row per security and session.

    A security is restated if consecutive bars from the beginning of the overlap, at least two or all there are, differ
    by one ratio, up to rounding: one of them by more than that, or at least TOGETHER_BARS of them one way. Prices and
    adjusted closes are judged separately: a split moves both, a dividend only the latter. A ratio is null where nothing
    differs. compared: the number of bars in the overlap.
    """
    both = stored.join(fetched, on=["security_id", "session"], suffix="_new").sort("security_id", "session")
    prices = _ratio(both, PRICES).rename({"ratio": "price_ratio"})
    adjusted = _ratio(both, ("close_adjusted",)).rename({"ratio": "adjusted_ratio"})
    sizes = both.group_by("security_id").agg(compared=pl.len())
    return (
        prices.join(adjusted, on="security_id", how="full", coalesce=True)
        .join(sizes, on="security_id")
        .select("security_id", "price_ratio", "adjusted_ratio", pl.col("compared").cast(pl.Int64))
        .sort("security_id")
    )


def _ratio(both: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    """security_id and ratio of the securities in whose first bars these columns are multiplied by one ratio."""
    known = both.filter(pl.all_horizontal(pl.col(name, f"{name}_new").is_not_null() for name in columns))
    differs = pl.any_horizontal(
        (pl.col(f"{name}_new") - pl.col(name)).abs() > JITTER * pl.col(name) for name in columns
    )
    leading = pl.col("differs").cum_min().over("security_id")
    run = known.with_columns(differs=differs).with_columns(bars=pl.len().over("security_id")).filter(leading)
    step = pl.max_horizontal(_step(name) for name in columns)
    quotients = pl.concat_list((pl.col(f"{name}_new") / pl.col(name)) for name in columns).list.mean()
    run = run.with_columns(
        ratio=quotients.median().over("security_id"),
        step=step.max().over("security_id"),
        length=pl.len().over("security_id"),
    )
    explained = pl.all_horizontal(_off(name, pl.col("ratio")) <= _slack(name, pl.col("ratio")) for name in columns)
    moved = pl.any_horizontal(_off(name, pl.lit(1.0)) > _slack(name, pl.lit(1.0)) for name in columns)
    return (
        run.group_by("security_id", maintain_order=True)
        .agg(
            ratio=pl.col("ratio").first(),
            explained=explained.mean(),
            first_explained=explained.first(),
            moved=moved.any(),
            together=pl.all_horizontal(_together(name) for name in columns) & (pl.len() >= TOGETHER_BARS),
            enough=(pl.col("length") >= pl.min_horizontal(pl.lit(LEAST_BARS), "bars")).first(),
        )
        .filter((pl.col("explained") >= EXPLAINED) & pl.col("first_explained") & pl.col("enough"))
        .filter(pl.col("moved") | pl.col("together"))
        .select("security_id", "ratio")
    )


def _together(name: str) -> pl.Expr:
    """Whether all bars of a run moved one way, and their mean by more than rounding leaves of a mean.

    Rounding both sides may move a bar by a step. Of the mean of ten it leaves an eighth of one: half is out of reach.
    """
    old, new = pl.col(name), pl.col(f"{name}_new")
    one_way = (new > old).all() | (new < old).all()
    return one_way & ((new - old).mean().abs() > pl.col("step").max() / 2 + FACTOR_ERROR * new.mean())


def _off(name: str, ratio: pl.Expr) -> pl.Expr:
    return (pl.col(f"{name}_new") - ratio * pl.col(name)).abs()


def _slack(name: str, ratio: pl.Expr) -> pl.Expr:
    """How far a bar may be off the ratio through rounding of both sides and of the ratio itself."""
    return pl.col("step") * (1 + ratio) + FACTOR_ERROR * pl.col(f"{name}_new")


def _step(name: str) -> pl.Expr:
    """The step that the values of a column are rounded to, the coarser of old and new; 0 if they are not rounded."""

    def rounded(column: str, step: float) -> pl.Expr:
        return ((pl.col(column) / step).round() * step - pl.col(column)).abs() < 1e-7 * pl.col(column)

    cents, fractions = STEPS
    sides = []
    for column in (name, f"{name}_new"):
        all_cents = rounded(column, cents).all().over("security_id")
        all_fractions = rounded(column, fractions).all().over("security_id")
        sides.append(pl.when(all_cents).then(cents).when(all_fractions).then(fractions).otherwise(0.0))
    return pl.max_horizontal(sides)


def excessive(rescaled: int, held: int) -> bool:
    """Whether more securities have prices on another scale than splits can explain.

    rescaled: securities with a price_ratio; held: all securities. Dividends do not count: many fall on the same day.
    """
    return rescaled > max(FEW_RESCALED, MOST_RESCALED * held)
