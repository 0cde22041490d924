"""Guards on bars that keep their contract and cannot be right all the same: four rules, and one for whole sessions.

Lives here: what a security's own bars say against one of them, with the evidence. A rule knows the bar, those before it
and at most the one after it, so a later bar never changes a verdict. Lives elsewhere: what every bar must be
(contracts/bars.py), which findings are applied, and when a rule has found too many (assets/quarantine.py), what people
decide of them (the store). Nothing is mended. What was found in real bars: docs/decisions/quarantine.md.

The constants were measured on 1,662,828 bars of 604 stocks, 2006 to 2017; the crises in them are honest and must stay.
"""

import math

import polars as pl

SPIKE = "spike"
DECIMAL_POINT = "decimal point"
STALE = "stale"
VOLUME_UNIT = "volume unit"
RULES = (SPIKE, DECIMAL_POINT, STALE, VOLUME_UNIT)

SPIKE_FACTOR = 2.5  # there and back. Honest closes: to 1.63 (GNW 2008-09-29); as if the decimal point moved: 10
APART_FACTOR = 1.4  # the same where the bars before and after overlap no part of it. Honest: to 1.29 (MS 2008-10-10)
UNTRADED_FACTOR = 1.25  # the same where nothing was traded at one price. Honest: none; RRD 2010-04-26, false: 1.48
BACK_WITHIN = 1.25  # of the close before; farther off, the market moved, and perhaps the bar with it
LEVEL_BARS = 5  # before the bar, whose median close it must leave too: the good bar between two false ones stays
NEIGHBOUR_DAYS = 14  # calendar days; a bar that is farther away is no neighbour, but the other end of a halt

DECIMAL_TOLERANCE = 0.05  # of log10, 12 %. Faults lie within 0.012, the nearest honest low 0.17 off (XL 2015-08-24)
DECIMAL_PLACES = (1, 2)

STALE_VOLUME = 10_000  # shares; so many do not change hands twice by chance, and bars of little trade are honest

VOLUME_BARS = 20  # bars before, one month, whose median is the usual volume; true steps are accepted after ten
VOLUME_LIQUID = 100_000  # shares of usual volume; thin symbols honestly jump a hundredfold (UST 2012-07-02)
VOLUME_FACTORS = (100, 1_000)  # shares counted as round lots, or thousands
VOLUME_TOLERANCE = 0.3  # of log10, twofold: honest volume is nearer to its median on nine days of ten

SILENT_SHARE = 0.1  # of a session's bars without volume. Honest: to 0.004; 2010-04-26, when the volumes were lost: 0.57
SILENT_BARS = 5  # fewer say nothing of a session

WARM_UP_BARS = VOLUME_BARS  # own bars of each security that must precede the first judged one, where it has them
LATER_BARS = 1  # and that must follow the last one, for its verdict to be complete

_close, _volume = pl.col("close"), pl.col("volume")
_FOUND = ("security_id", "session", "rule", "evidence")


def implausible(bars: pl.DataFrame) -> pl.DataFrame:
    """Every bar that a rule speaks against: security_id, session, rule (one of RULES), evidence (a JSON object).

    bars: security_id, session, open, high, low, close, volume (shares); one row per security and session, in any order,
    which keep their contract. Given back sorted by security, session and rule; a bar that breaks two rules is there
    twice. A bar is judged only with what its rule needs: a spike is one when the next bar is there.
    """
    placed = _with_neighbours(bars)
    found = [rule(placed) for rule in (spikes, decimal_points, stale, volume_units)]
    return pl.concat(found).sort("security_id", "session", "rule")


def spikes(placed: pl.DataFrame) -> pl.DataFrame:
    """Closes that leave the close before, and the level, by a factor and are back on the next bar.

    The factor is UNTRADED_FACTOR where nothing was traded and the bar has one price, APART_FACTOR where the bar lies
    wholly above or below both its neighbours (a market that moves begins where it was), and SPIKE_FACTOR else. Of two
    false bars in a row neither is found.
    """
    away, back = (_close / pl.col("close_before")).log(), (pl.col("close_after") / _close).log()
    off_level = (_close / pl.col("level")).log()
    untraded = (_volume == 0) & (pl.col("high") == pl.col("low"))
    below = pl.col("high") < pl.min_horizontal("low_before", "low_after")
    above = pl.col("low") > pl.max_horizontal("high_before", "high_after")
    factor = pl.when(untraded).then(UNTRADED_FACTOR).when(below | above).then(APART_FACTOR).otherwise(SPIKE_FACTOR)
    moved = pl.min_horizontal(away.abs(), back.abs(), off_level.abs())
    reverted = (away.sign() == -back.sign()) & (away.sign() == off_level.sign())
    is_back = (away + back).abs() <= math.log(BACK_WITHIN)
    near = pl.max_horizontal("days_before", "days_after") <= NEIGHBOUR_DAYS
    evidence = {**_as_it_is("close_before", "close", "close_after", "volume"), "factor": moved.exp().round(3)}
    return _found(placed, SPIKE, near & reverted & is_back & (moved >= factor.log()), evidence)


def decimal_points(placed: pl.DataFrame) -> pl.DataFrame:
    """Highs and lows whose decimal point was moved: 10 or 100 times off the close of their bar and of the bar before.

    A close that is off breaks the contract or is a spike. Far lows of a crash stay: they are not whole places away.
    """
    usual_low, usual_high = pl.min_horizontal("close", "close_before"), pl.max_horizontal("close", "close_before")
    near = pl.col("days_before") <= NEIGHBOUR_DAYS
    found = []
    for field, places in (
        ("low", (usual_low / pl.col("low")).log10()),
        ("high", (pl.col("high") / usual_high).log10()),
    ):
        moved = pl.any_horizontal((places - whole).abs() <= DECIMAL_TOLERANCE for whole in DECIMAL_PLACES)
        evidence = {"field": pl.lit(field), **_as_it_is(field, "close_before", "close"), "places": places.round(4)}
        found.append(_found(placed, DECIMAL_POINT, near & moved, evidence))
    return pl.concat(found).unique(["security_id", "session"], keep="first", maintain_order=True)


def stale(placed: pl.DataFrame) -> pl.DataFrame:
    """Bars that repeat the bar before in every figure, with STALE_VOLUME shares or more; that bar is left in peace."""
    same = pl.all_horizontal(pl.col(name) == pl.col(f"{name}_before") for name in _FIGURES)
    evidence = {"same_as": pl.col("session_before").cast(pl.String), **_as_it_is("close", "volume")}
    return _found(placed, STALE, same & (_volume >= STALE_VOLUME), evidence)


def volume_units(placed: pl.DataFrame) -> pl.DataFrame:
    """Volumes in another unit: about 100 or 1,000 times the usual and a whole multiple of that, of a liquid security.

    The multiple is the evidence: shares that were taken for lots end in as many zeros, while a day of great turnover
    ends in any digits. Only volumes that are too large are found: one of them outweighs the market's, while one that is
    too small leaves it as it is, and the direction of its bar would be lost for nothing.
    """
    usual = pl.col("usual_volume")
    fits = [((_volume / usual).log10() - math.log10(factor)).abs() <= VOLUME_TOLERANCE for factor in VOLUME_FACTORS]
    whole = [_volume % factor == 0 for factor in VOLUME_FACTORS]
    matches = [fit & multiple for fit, multiple in zip(fits, whole, strict=True)]
    factor = pl.coalesce(pl.when(match).then(value) for match, value in zip(matches, VOLUME_FACTORS, strict=True))
    evidence = {**_as_it_is("volume", "usual_volume"), "factor": factor}
    return _found(placed, VOLUME_UNIT, (usual >= VOLUME_LIQUID) & pl.any_horizontal(matches), evidence)


def silent_sessions(sessions: pl.DataFrame) -> pl.DataFrame:
    """The sessions whose volumes were lost as a whole, which is a fault of the session and not of its bars.

    sessions: session, bars, without_volume (how many of them). Adds ``share``, and keeps those beyond SILENT_SHARE.
    """
    shares = sessions.with_columns(share=pl.col("without_volume") / pl.col("bars"))
    return shares.filter((pl.col("share") > SILENT_SHARE) & (pl.col("without_volume") >= SILENT_BARS))


_FIGURES = ("open", "high", "low", "close", "volume")


def _with_neighbours(bars: pl.DataFrame) -> pl.DataFrame:
    """Bars in order, each with its security's bars before and after it, its level and its usual volume."""
    ordered = bars.sort("security_id", "session").with_columns(_volume.cast(pl.Float64))
    before = {f"{name}_before": pl.col(name).shift(1) for name in (*_FIGURES, "session")}
    after = {f"{name}_after": pl.col(name).shift(-1) for name in ("high", "low", "close", "session")}
    usual = {
        "level": _close.rolling_median(LEVEL_BARS, min_samples=1).shift(1),
        "usual_volume": _volume.rolling_median(VOLUME_BARS).shift(1),
    }
    own = {name: value.over("security_id") for name, value in {**before, **after, **usual}.items()}
    return ordered.with_columns(**own).with_columns(
        days_before=(pl.col("session") - pl.col("session_before")).dt.total_days(),
        days_after=(pl.col("session_after") - pl.col("session")).dt.total_days(),
    )


def _as_it_is(*columns: str) -> dict[str, pl.Expr]:
    return {column: pl.col(column) for column in columns}


def _found(placed: pl.DataFrame, rule: str, broken: pl.Expr, evidence: dict[str, pl.Expr]) -> pl.DataFrame:
    told = pl.struct(value.alias(name) for name, value in evidence.items())
    hits = placed.filter(broken.fill_null(value=False))
    return hits.with_columns(rule=pl.lit(rule), evidence=told.struct.json_encode()).select(_FOUND)
