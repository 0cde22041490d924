"""Indicators of up and down volume, and the days on which nearly all of it went one way. McClellan's: mcclellan.py."""

import polars as pl

from breadthflow_pipelines.indicators.definition import BRUTE_FORCE, Indicator
from breadthflow_pipelines.indicators.issues import A, D
from breadthflow_pipelines.indicators.price import TICK_PARTS
from breadthflow_pipelines.indicators.series import count, flag, share, window_ratio, window_sum

FAMILY = "Volume"

TEN = 10  # sessions


def up_volume_share(up: pl.Expr, down: pl.Expr) -> pl.Expr:
    """UV / (UV + DV), 0 to 1; the volume of unchanged issues does not count. Null where no volume moved."""
    return share(up, up + down)


def up_volume_thrust(up: pl.Expr, down: pl.Expr, length: int) -> pl.Expr:
    """100 * sum of UV / (sum of UV + sum of DV) over ``length`` sessions, 0 to 100."""
    return 100 * window_ratio(up, up + down, length)


def volume_line(up: pl.Expr, down: pl.Expr) -> pl.Expr:
    """Running sum of (UV - DV) / (UV + DV): normalised, because volume grows by a thousand over the decades."""
    return share(up - down, up + down).cum_sum()


def trin(advances: pl.Expr, declines: pl.Expr, up: pl.Expr, down: pl.Expr) -> pl.Expr:
    """(A / D) / (UV / DV); above 1 the declines get more than their share of the volume. Null where any is zero."""
    whole = pl.all_horizontal(part != 0 for part in (advances, declines, up, down))
    return pl.when(whole).then((advances / declines) / (up / down))


def trin_open(advances: pl.Expr, declines: pl.Expr, up: pl.Expr, down: pl.Expr) -> pl.Expr:
    """(sum of A / sum of D) / (sum of UV / sum of DV) over 10 sessions: the form that no single session can blow up."""
    known = pl.all_horizontal(part.is_not_null() for part in (advances, declines, up, down))
    return trin(*(window_sum(pl.when(known).then(part), TEN) for part in (advances, declines, up, down)))


def one_sided_day(up: pl.Expr, down: pl.Expr, least: float) -> pl.Expr:
    """1 where at least that share went up, -1 where it went down, 0 on any other session; null where nothing moved."""
    one = share(up, up + down) >= least
    other = share(down, up + down) >= least
    return flag(one) - flag(other)


def both_legs(volume: pl.Expr, points: pl.Expr) -> pl.Expr:
    """The day that volume and points agree on, else 0; null where either is."""
    return pl.when(volume == points).then(volume).when(volume != points).then(0.0)


UV, DV, XV = count("up_volume"), count("down_volume"), count("unchanged_volume")
# In whole millionths, as they were counted: 0.99 of 0.99 + 0.11 points is 90 %, but of their floats it is less.
_GAINED, _LOST = ((count(name) * TICK_PARTS).round() for name in ("points_gained", "points_lost"))
_DESMOND = "Paul Desmond, Identifying Bear Market Bottoms and New Bull Markets, Lowry's, 2002"


def _day(name: str, expression: pl.Expr, least: float, legs: str) -> Indicator:
    return Indicator(
        name,
        expression,
        FAMILY,
        formula=f"1 where at least {least * 100:g} % of {legs} went up, -1 where it went down, else 0",
        units="1, 0 or -1",
        source=_DESMOND,
        verified=BRUTE_FORCE,
        parameters={"share": least},
        bounds=(-1, 1),
    )


def _days(least: float) -> tuple[Indicator, Indicator]:
    volume, points = one_sided_day(UV, DV, least), one_sided_day(_GAINED, _LOST, least)
    name = f"day_{least * 100:.0f}"
    return (
        _day(name, both_legs(volume, points), least, "the volume and of the points that moved"),
        _day(f"{name}_volume", volume, least, "the volume that moved"),
    )


INDICATORS = (
    Indicator(
        "up_volume_share",
        up_volume_share(UV, DV),
        FAMILY,
        formula="UV / (UV + DV)",
        units="share of the volume that moved",
        source=_DESMOND,
        verified=BRUTE_FORCE,
        bounds=(0, 1),
    ),
    Indicator(
        "up_volume_share_of_all",
        share(UV, UV + DV + XV),
        FAMILY,
        formula="UV / (UV + DV + XV), XV the volume of unchanged issues",
        units="share of all volume",
        source="a variant in use; Desmond leaves unchanged issues out",
        verified=BRUTE_FORCE,
        bounds=(0, 1),
    ),
    Indicator(
        "up_dollar_share",
        up_volume_share(count("up_dollars"), count("down_dollars")),
        FAMILY,
        formula="dollars up / (dollars up + dollars down), an issue's dollars being close * volume",
        units="share of the dollars that moved",
        source="BreadthFlow's variant of the up-volume share; a split of close and volume alike does not change it",
        verified=BRUTE_FORCE,
        bounds=(0, 1),
    ),
    Indicator(
        "points_share",
        up_volume_share(_GAINED, _LOST),
        FAMILY,
        formula="points gained / (points gained + points lost)",
        units="share of the points that moved",
        source=_DESMOND,
        verified=BRUTE_FORCE,
        bounds=(0, 1),
    ),
    Indicator(
        "volume_line",
        volume_line(UV, DV),
        FAMILY,
        formula="running sum of (UV - DV) / (UV + DV)",
        units="fractions of the volume that moved",
        source="Cumulative Volume Index in its normalised form",
        verified=BRUTE_FORCE,
        seed="0 before the first session of the universe",
    ),
    Indicator(
        "trin",
        trin(A, D, UV, DV),
        FAMILY,
        formula="(A / D) / (UV / DV); null where any of them is 0",
        units="ratio",
        source="Richard Arms, Barron's, 1967",
        verified="TRIN of fifteen NYSE sessions, 2001-06-13 to 2001-07-03 (technicalanalysissite.com)",
        bounds=(0, None),
    ),
    Indicator(
        "trin_open_10",
        trin_open(A, D, UV, DV),
        FAMILY,
        formula="(sum of A / sum of D) / (sum of UV / sum of DV), each over 10 sessions",
        units="ratio",
        source="Open 10 TRIN; Quantshare 1099",
        verified=BRUTE_FORCE,
        parameters={"sessions": TEN},
        burn_in=TEN - 1,
        bounds=(0, None),
    ),
    *(
        Indicator(
            f"whaley_udt{length}",
            up_volume_thrust(UV, DV, length),
            FAMILY,
            formula=f"100 * sum of UV over {length} sessions / (sum of UV + sum of DV)",
            units="per cent",
            source=source,
            verified=verified,
            parameters={"sessions": length},
            burn_in=length - 1,
            bounds=(0, 100),
        )
        for length, source, verified in (
            (2, "Wayne Whaley, A Two Day Up Volume Thrust Signal, 2013-01-02, of S&P 500 volume", BRUTE_FORCE),
            (5, "Wayne Whaley, Planes, Trains and Automobiles, 2010", BRUTE_FORCE),
        )
    ),
    *_days(0.90),
    *_days(0.80),
)
