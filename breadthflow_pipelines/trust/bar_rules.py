"""Guards on bars that keep their contract and cannot be right all the same, and on histories that nobody should trust.

Lives here: what a security's own bars say against one of them, with the evidence. ``implausible`` finds bars to leave
out: a rule knows the bar, those before it and at most LATER_BARS after it, and what it has said it never takes back.
``doubtful`` finds bars that stay and that somebody should look at. Lives elsewhere: what every bar must be
(contracts/bars.py), which findings are applied, and when a rule has found too many (assets/quarantine.py), what people
decide of them (the store). Nothing is mended. What was found in real bars: docs/decisions/quarantine.md.

The constants were measured on 1,662,828 bars of 604 stocks, 2006 to 2017; the crises in them are honest and must stay.
"""

import math
from collections.abc import Callable

import polars as pl

from breadthflow_pipelines.indicators.conventions import LONGEST_SILENCE
from breadthflow_pipelines.indicators.price import HISTORY, by_history
from breadthflow_pipelines.model.vocabulary import PRICES

SPIKE = "spike"
DECIMAL_POINT = "decimal point"
STRAY = "stray price"
STALE = "stale"
VOLUME_UNIT = "volume unit"
RULES = (SPIKE, DECIMAL_POINT, STRAY, STALE, VOLUME_UNIT)  # of bars that are left out

SCALE = "scale"
LONG_SILENCE = "long silence"
DOUBTS = (SCALE, LONG_SILENCE)  # of bars that stay

SPIKE_FACTOR = 2.4  # there and back. Honest closes: to 1.63 (GNW 2008-09-29)
APART_FACTOR = 1.4  # the same where the bars before and after overlap no part of it. Honest: to 1.29 (MS 2008-10-10)
UNTRADED_FACTOR = 1.25  # the same where nothing was traded at one price. Honest: none; RRD 2010-04-26, false: 1.48
RUN_FACTOR = 4  # the same of up to RUN_BARS bars in a row, apart from those around them. Honest: none from 1.15 on
RUN_BARS = 5  # one week; what stays longer is for people to judge
BACK_WITHIN = 1.25  # of the close before; farther off, the market moved, and perhaps the bar with it
LEVEL_BARS = 5  # before the bar, whose median close it must leave too: the good bar between two false ones stays
NEIGHBOUR_DAYS = 14  # calendar days; a bar that is farther away is no neighbour, but the other end of a halt

DECIMAL_TOLERANCE = 0.05  # of log10, 12 %. Faults lie within 0.012, the nearest honest low 0.17 off (XL 2015-08-24)
DECIMAL_PLACES = (1, 2)

STRAY_FACTOR = 2  # beyond both closes, in a bar that is quiet but for it, while the market was calm or its volume usual
STRAY_ANYWHERE = 8  # whatever else happened. Honest lows: to 6.8 (XL 2015-08-24), highs: to 2.1 (SNV 2008-09-19)
QUIET = 1.08  # highest / lowest of the bar's other prices and the close before. News moves more: UAL 2008-09-08, 1.14
CALM = 1.03  # the market's median bar reaches no farther beyond its closes: 99 sessions of 100. 2015-08-24: 1.042
CALM_BARS = 5  # a session with fewer says nothing of the market
USUAL_TURNOVER = 1.25  # times the usual volume; stray prices that were really paid: from 1.49 on (AIG 2008-09-16)
USUAL_LEAST = 10_000  # shares of usual volume; with less, a single fat finger is the whole session

STALE_VOLUME = 10_000  # shares; so many do not change hands twice by chance, and bars of little trade are honest

VOLUME_BARS = 20  # bars before, one month, whose median is the usual volume; true steps are accepted after ten
VOLUME_LIQUID = 100_000  # shares of usual volume; thin symbols honestly jump a hundredfold (UST 2012-07-02)
VOLUME_FACTORS = (100, 1_000)  # shares counted as round lots, or thousands
VOLUME_TOLERANCE = 0.3  # of log10, twofold: honest volume is nearer to its median on nine days of ten
VOLUME_ANYWHERE = 2_000  # times the usual, whatever its digits. Honest: to 199 (ES 2012-04-09)
VOLUME_OF_THIN = 100_000  # the same of a thin symbol. Honest: to 5,002 (UST 2014-02-03)

SCALE_FACTOR = 3  # from one close to the next, in a bar apart from the one before. Honest: to 2.81 (GGP 2008-11-11)

SILENT_SHARE = 0.1  # of a session's bars without volume. Honest: to 0.004; 2010-04-26, when the volumes were lost: 0.57
SILENT_BARS = 5  # fewer say nothing of a session

WARM_UP_BARS = VOLUME_BARS  # own bars of each security that must precede the first judged one, where it has them
LATER_BARS = RUN_BARS  # and that must follow the last one, for its verdict to be complete

_close, _volume = pl.col("close"), pl.col("volume")
_FOUND = ("security_id", "session", "rule", "evidence")


def implausible(bars: pl.DataFrame) -> pl.DataFrame:
    """Every bar that a rule speaks against: security_id, session, rule (one of RULES), evidence (a JSON object).

    bars: security_id, session, open, high, low, close, volume (shares); one row per security and session, in any order,
    which keep their contract; all bars of a session that is judged. Given back sorted by security, session and rule; a
    bar that breaks two rules is there twice. A bar is judged only with what its rule needs: a spike is one when the bar
    that is back is there.
    """
    placed = _with_neighbours(bars)
    found = [rule(placed) for rule in (spikes, decimal_points, stray_prices, stale, volume_units)]
    return pl.concat(found).sort("security_id", "session", "rule")


def doubtful(bars: pl.DataFrame) -> pl.DataFrame:
    """Every bar from which on a history is not what it was: as implausible() has it, rule one of DOUBTS.

    SCALE: the close is SCALE_FACTOR times the one before or more, or that part of it, in a bar that shares no price
    with the bar before: pounds for pence, or a split that one side of the history does not know. Bars that are spikes
    are left out first; a price that has left and is not back yet is doubted until it is. LONG_SILENCE: the security has
    no bar in LONGEST_SILENCE days before: another company may have its symbol.
    """
    spiked = spikes(_with_neighbours(bars)).select("security_id", "session")
    kept = _with_bar_before(bars.join(spiked, on=["security_id", "session"], how="anti"))
    silent = pl.col("days_before") > LONGEST_SILENCE
    apart = (pl.col("low") > pl.col("high_before")) | (pl.col("high") < pl.col("low_before"))
    jump = (_close / pl.col("close_before")).log().abs()
    ends = {
        "last": pl.col("session_before").cast(pl.String),
        **_as_it_is("close_before", "close"),
        "days": pl.col("days_before"),
    }
    jumped = {**ends, "factor": (_close / pl.col("close_before")).round_sig_figs(6)}
    found = [
        _found(kept, SCALE, ~silent & apart & (jump >= math.log(SCALE_FACTOR)), jumped),
        _found(kept, LONG_SILENCE, silent, ends),
    ]
    return pl.concat(found).sort("security_id", "session", "rule")


def spikes(placed: pl.DataFrame) -> pl.DataFrame:
    """Closes that leave the close before, and the level, by a factor and are back on the next bar.

    The factor is UNTRADED_FACTOR where nothing was traded and the bar has one price, APART_FACTOR where the bar lies
    wholly above or below both its neighbours (a market that moves begins where it was), and SPIKE_FACTOR else. Of
    several false bars in a row, up to RUN_BARS, all are found where they lie apart by RUN_FACTOR.
    """
    left = (_close / pl.col("close_before")).log().abs() >= math.log(UNTRADED_FACTOR)
    # A run begins where the close leaves; few do, and the rows from there on are all that its rules look at.
    near = placed.filter(pl.any_horizontal(left.shift(bar) for bar in range(RUN_BARS + 1)))
    told = near.with_columns(
        pl.when(left & _away(length)).then(_moved(length)).over("security_id").alias(f"run_{length}")
        for length in range(1, RUN_BARS + 1)
    )
    factor = pl.max_horizontal(
        pl.col(f"run_{length}").shift(bar).over("security_id")
        for length in range(1, RUN_BARS + 1)
        for bar in range(length)
    )
    told = told.with_columns(factor=factor.exp().round(3))
    evidence = _as_it_is("close_before", "close", "close_after", "volume", "factor")
    return _found(told, SPIKE, pl.col("factor").is_not_null(), evidence)


def _moved(length: int) -> pl.Expr:
    """How far, as a logarithm, that many bars from this one on lie from the closes around them and from the level."""
    around = ("close_before", "level")
    after = _close.shift(-length)
    lowest, highest = (
        pl.min_horizontal(_close.shift(-bar) for bar in range(length)),
        pl.max_horizontal(_close.shift(-bar) for bar in range(length)),
    )
    up = (lowest / pl.max_horizontal(*around, after)).log()
    down = (pl.min_horizontal(*around, after) / highest).log()
    return pl.max_horizontal(up, down)


def _away(length: int) -> pl.Expr:
    """Whether that many bars from this one on left the bar before and were back after the last of them."""
    after = _close.shift(-length)
    below = pl.max_horizontal(pl.col("high").shift(-bar) for bar in range(length)) < pl.min_horizontal(
        "low_before", pl.col("low").shift(-length)
    )
    above = pl.min_horizontal(pl.col("low").shift(-bar) for bar in range(length)) > pl.max_horizontal(
        "high_before", pl.col("high").shift(-length)
    )
    near = pl.max_horizontal(pl.col("days_before").shift(-bar) for bar in range(length + 1)) <= NEIGHBOUR_DAYS
    is_back = (after / pl.col("close_before")).log().abs() <= math.log(BACK_WITHIN)
    if length > 1:
        far = (below | above) & (_moved(length) >= math.log(RUN_FACTOR))
    else:
        untraded = (_volume == 0) & (pl.col("high") == pl.col("low"))
        factor = pl.when(untraded).then(UNTRADED_FACTOR).when(below | above).then(APART_FACTOR).otherwise(SPIKE_FACTOR)
        far = _moved(length) >= factor.log()
    return after.is_not_null() & pl.col("close_before").is_not_null() & near & is_back & far


def decimal_points(placed: pl.DataFrame) -> pl.DataFrame:
    """Highs and lows whose decimal point was moved: 10 or 100 times off the close of their bar and of the bar before.

    A close that is off breaks the contract or is a spike. Far lows of a crash stay: they are not whole places away.
    """
    return _found_reaching(placed, DECIMAL_POINT, _whole_places)


def stray_prices(placed: pl.DataFrame) -> pl.DataFrame:
    """Highs and lows far beyond the closes of their bar and of the bar before, by whatever factor.

    Beyond STRAY_ANYWHERE nobody ever paid them. From STRAY_FACTOR on they are false where nothing else speaks of such a
    day: the bar's other prices lie close together, and either the market was calm or no more than usual was traded.
    News moves the rest of the bar as well (UAL 2008-09-08), and a market that breaks down for a moment breaks down for
    many securities (2010-05-06, 2015-08-24). Whole decimal places are decimal_points'.
    """
    sound = [
        pl.when((pl.col(name) < STRAY_FACTOR * _usual_high) & (pl.col(name) * STRAY_FACTOR > _usual_low)).then(name)
        for name in ("open", "high", "low")
    ]
    prices = [*sound, _close, pl.col("close_before")]
    quiet = pl.max_horizontal(prices) <= QUIET * pl.min_horizontal(prices)
    calm = (pl.col("bars_of_session") >= CALM_BARS) & (pl.col("median_reach") <= CALM)
    usual = pl.col("recent_volume")
    ordinary = (usual >= USUAL_LEAST) & (_volume <= USUAL_TURNOVER * usual)
    alone = quiet & (calm.fill_null(value=False) | ordinary.fill_null(value=False))

    def strays(factor: pl.Expr) -> pl.Expr:
        far = (factor >= STRAY_ANYWHERE) | ((factor >= STRAY_FACTOR) & alone)
        return far & ~_whole_places(factor)

    return _found_reaching(placed, STRAY, strays, "volume", "recent_volume", "median_reach")


def stale(placed: pl.DataFrame) -> pl.DataFrame:
    """Bars that repeat the bar before in every figure, with STALE_VOLUME shares or more; that bar is left in peace."""
    same = pl.all_horizontal(pl.col(name) == pl.col(f"{name}_before") for name in _FIGURES)
    evidence = {"same_as": pl.col("session_before").cast(pl.String), **_as_it_is("close", "volume")}
    return _found(placed, STALE, same & (_volume >= STALE_VOLUME), evidence)


def volume_units(placed: pl.DataFrame) -> pl.DataFrame:
    """Volumes in another unit: about 100 or 1,000 times the usual and a whole multiple of that, of a liquid security.

    The multiple is the evidence: shares that were taken for lots end in as many zeros, while a day of great turnover
    ends in any digits. From VOLUME_ANYWHERE on, of thin symbols from VOLUME_OF_THIN on, no digits are asked for. Only
    volumes that are too large are found: one of them outweighs the market's, while one that is too small leaves it as
    it is, and the direction of its bar would be lost for nothing.
    """
    usual = pl.col("usual_volume")
    liquid, times = usual >= VOLUME_LIQUID, _volume / usual
    most = pl.when(liquid).then(VOLUME_ANYWHERE).otherwise(VOLUME_OF_THIN)
    beyond = pl.when((usual > 0) & (times >= most)).then(times.round())
    fits = [(times.log10() - math.log10(factor)).abs() <= VOLUME_TOLERANCE for factor in VOLUME_FACTORS]
    whole = [_volume % factor == 0 for factor in VOLUME_FACTORS]
    matches = [liquid & fit & multiple for fit, multiple in zip(fits, whole, strict=True)]
    units = (pl.when(match).then(float(unit)) for match, unit in zip(matches, VOLUME_FACTORS, strict=True))
    factor = pl.coalesce(*units, beyond)
    evidence = {**_as_it_is("volume", "usual_volume"), "factor": factor}
    return _found(placed, VOLUME_UNIT, factor.is_not_null(), evidence)


def silent_sessions(sessions: pl.DataFrame) -> pl.DataFrame:
    """The sessions whose volumes were lost as a whole, which is a fault of the session and not of its bars.

    sessions: session, bars, without_volume (how many of them). Adds ``share``, and keeps those beyond SILENT_SHARE.
    """
    shares = sessions.with_columns(share=pl.col("without_volume") / pl.col("bars"))
    return shares.filter((pl.col("share") > SILENT_SHARE) & (pl.col("without_volume") >= SILENT_BARS))


_FIGURES = (*PRICES, "volume")
_usual_low, _usual_high = pl.min_horizontal("close", "close_before"), pl.max_horizontal("close", "close_before")
_REACH = {"low": _usual_low / pl.col("low"), "high": pl.col("high") / _usual_high}  # beyond both closes, as a factor


def _with_bar_before(bars: pl.DataFrame) -> pl.DataFrame:
    """Bars in order, each with its security's bar before."""
    ordered = by_history(bars).with_columns(_volume.cast(pl.Float64))
    own = pl.col("security_id") == pl.col("security_id").shift(1)
    before = {f"{name}_before": pl.when(own).then(pl.col(name).shift(1)) for name in (*_FIGURES, "session")}
    return ordered.with_columns(**before).with_columns(
        days_before=(pl.col("session") - pl.col("session_before")).dt.total_days()
    )


def _with_neighbours(bars: pl.DataFrame) -> pl.DataFrame:
    """The same, and each with the close after, its level, its usual volume, and how far the market reached.

    That is told from the session's bars that have one before: how many they are, and the median of their reach.
    """
    own = {
        "close_after": _close.shift(-1),
        "level": _close.rolling_median(LEVEL_BARS, min_samples=1).shift(1),
        "usual_volume": _volume.rolling_median(VOLUME_BARS).shift(1),
        "recent_volume": _volume.rolling_median(VOLUME_BARS, min_samples=LEVEL_BARS).shift(1),
    }
    placed = _with_bar_before(bars).with_columns(value.over(HISTORY).alias(name) for name, value in own.items())
    reach = pl.when(pl.col("close_before").is_not_null()).then(pl.max_horizontal(_REACH.values()))
    sessions = placed.group_by("session").agg(bars_of_session=reach.count(), median_reach=reach.median().round(4))
    return placed.join(sessions, on="session", how="left", maintain_order="left")


def _whole_places(factor: pl.Expr) -> pl.Expr:
    places = factor.log10()
    return pl.any_horizontal((places - whole).abs() <= DECIMAL_TOLERANCE for whole in DECIMAL_PLACES)


def _found_reaching(placed: pl.DataFrame, rule: str, broken: Callable[[pl.Expr], pl.Expr], *seen: str) -> pl.DataFrame:
    """The bars whose low or high reaches so far that it is broken; one that does on both sides is there once."""
    near = pl.col("days_before") <= NEIGHBOUR_DAYS
    found = []
    for field, factor in _REACH.items():
        evidence = {"field": pl.lit(field), **_as_it_is(field, "close_before", "close", *seen)}
        told = {"places": factor.log10().round(4)} if rule == DECIMAL_POINT else {"factor": factor.round(3)}
        found.append(_found(placed, rule, near & broken(factor), evidence | told))
    return pl.concat(found).unique(["security_id", "session"], keep="first", maintain_order=True)


def _as_it_is(*columns: str) -> dict[str, pl.Expr]:
    return {column: pl.col(column) for column in columns}


def _found(placed: pl.DataFrame, rule: str, broken: pl.Expr, evidence: dict[str, pl.Expr]) -> pl.DataFrame:
    told = pl.struct(value.alias(name) for name, value in evidence.items())
    hits = placed.filter(broken.fill_null(value=False))
    return hits.with_columns(rule=pl.lit(rule), evidence=told.struct.json_encode()).select(_FOUND)
