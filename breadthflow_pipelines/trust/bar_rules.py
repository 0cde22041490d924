"""Rules that find bars which keep the contract and still cannot be right, each with its evidence.

``implausible`` finds bars to leave out. A rule sees the bar, those before it and at most LATER_BARS after it; what it
has found, later bars never change. ``doubtful`` finds bars that stay but deserve a look. Nothing is corrected.

Elsewhere: what every bar must satisfy (contracts/bars.py), which findings count and when a rule found too many
(quarantine.py), people's decisions (warehouse/decisions.py). docs/decisions/quarantine.md lists what was found in real
bars. The constants were measured on 1,662,828 bars of 604 stocks, 2006 to 2017. "Genuine" are the most extreme bars of
that history that are right; all of them, those of crises included, must pass.
"""

import math
from collections.abc import Callable

import polars as pl

from breadthflow_pipelines.indicators.conventions import LONGEST_SILENCE
from breadthflow_pipelines.indicators.price import HISTORY, by_history, in_order, portions
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

SPIKE_FACTOR = 2.4  # there and back. Genuine closes: to 1.63 (GNW 2008-09-29)
APART_FACTOR = 1.4  # the same where the bars before and after do not overlap it. Genuine: to 1.29 (MS 2008-10-10)
UNTRADED_FACTOR = 1.25  # the same of one price without volume. Genuine: none; RRD 2010-04-26, false: 1.48
RUN_FACTOR = (
    4  # the same of up to RUN_BARS bars in a row that do not overlap those around them. Genuine: none from 1.15 on
)
RUN_BARS = 5  # one week; longer runs are for people to judge
BACK_WITHIN = 1.25  # of the close before; beyond, the market moved, and perhaps the bar with it
LEVEL_BARS = 5  # bars before, whose median close it must leave, too: a good bar between two false ones stays
NEIGHBOUR_DAYS = 14  # calendar days; a bar farther away is not a neighbour but the other end of a halt

DECIMAL_TOLERANCE = 0.05  # of log10, 12 %. Faults lie within 0.012, the nearest genuine low at 0.17 (XL 2015-08-24)
DECIMAL_PLACES = (1, 2)

STRAY_FACTOR = 2  # beyond both closes, in an otherwise quiet bar, while the market was calm or its volume usual
STRAY_ANYWHERE = 8  # under any circumstances. Genuine lows: to 6.8 (XL 2015-08-24), highs: to 2.1 (SNV 2008-09-19)
QUIET = 1.08  # highest / lowest of the bar's other prices and the close before. News moves more: UAL 2008-09-08, 1.14
CALM = 1.03  # most reach of the market's median bar beyond its closes: 99 of 100 sessions. 2015-08-24: 1.042
CALM_BARS = 5  # a session with fewer says nothing about the market
USUAL_TURNOVER = 1.25  # times the usual volume; genuine stray prices: from 1.49 on (AIG 2008-09-16)
USUAL_LEAST = 10_000  # shares of usual volume; with less, a single fat finger is the whole session

STALE_VOLUME = 10_000  # shares; so many are not traded twice by chance, while repeated thin bars may be genuine

VOLUME_BARS = 20  # bars before, one month, whose median is the usual volume; genuine steps are accepted after ten
VOLUME_LIQUID = 100_000  # shares of usual volume; thin symbols do jump a hundredfold (UST 2012-07-02)
VOLUME_FACTORS = (100, 1_000)  # shares counted as round lots, or thousands
VOLUME_TOLERANCE = 0.3  # of log10, twofold: genuine volume is nearer to its median on nine days of ten
VOLUME_ANYWHERE = 2_000  # times the usual, whatever its digits. Genuine: to 199 (ES 2012-04-09)
VOLUME_OF_THIN = 100_000  # the same of a thin symbol. Genuine: to 5,002 (UST 2014-02-03)

SCALE_FACTOR = (
    3  # from one close to the next, in a bar that does not overlap the one before. Genuine: to 2.81 (GGP 2008-11-11)
)

SILENT_SHARE = (
    0.1  # of a session's bars without volume. Genuine: to 0.004; 2010-04-26, when the volumes were lost: 0.57
)
SILENT_BARS = 5  # fewer say nothing about a session

PORTION_BARS = 75_000  # of whole securities at a time, each with thirty columns: some 20 MB

WARM_UP_BARS = VOLUME_BARS  # own bars of each security that must precede the first judged one, where it has them
LATER_BARS = RUN_BARS  # and that must follow the last one, for its verdict to be complete

_close, _volume = pl.col("close"), pl.col("volume")
_FOUND = ("security_id", "session", "rule", "evidence")


def flagged(bars: pl.DataFrame, most: int = PORTION_BARS) -> pl.DataFrame:
    """Every bar that is implausible or doubtful: the rows of both, for many securities.

    bars: as implausible() takes them. most: how many are looked at at a time, of whole securities; what the session's
    other bars say of the market is taken from all of them before.
    """
    ordered = in_order(bars)
    market = _market(ordered)
    found = []
    for part in portions(ordered, most):
        rows = _with_neighbours(part, market)
        spiked = spikes(rows)
        found += [_broken(rows, spiked), _doubted(part, rows, spiked)]
    return pl.concat(found)


def implausible(bars: pl.DataFrame) -> pl.DataFrame:
    """Every bar that breaks a rule: security_id, session, rule (one of RULES), evidence (a JSON object).

    bars: security_id, session, open, high, low, close, volume (shares), which keep their contract; one row per security
    and session, in any order, with all bars of each session that is judged. The result is sorted by security, session
    and rule; a bar that breaks two rules has two rows. A rule finds a bar once all bars it needs are there: a spike is
    found when the bar that returns is known.
    """
    ordered = in_order(bars)
    rows = _with_neighbours(ordered, _market(ordered))
    return _broken(rows, spikes(rows))


def doubtful(bars: pl.DataFrame) -> pl.DataFrame:
    """Every bar with which a history seems to become another one: columns as of implausible(), rule one of DOUBTS.

    SCALE: the close is at least SCALE_FACTOR times the one before, or at most one SCALE_FACTOR-th of it, in a bar that
    shares no price with the bar before: pounds for pence, or a split that is missing on one side. Spikes are left out
    first; a price that has jumped and not returned yet is doubted until it does. LONG_SILENCE: the security has no bar
    in the LONGEST_SILENCE days before, so that another company may have its symbol.
    """
    ordered = in_order(bars)
    rows = _with_neighbours(ordered, _market(ordered))
    return _doubted(ordered, rows, spikes(rows))


def _broken(rows: pl.DataFrame, spiked: pl.DataFrame) -> pl.DataFrame:
    """What implausible() gives. rows: as _with_neighbours gives them; spiked: spikes of these."""
    found = [spiked, *(rule(rows) for rule in (decimal_points, stray_prices, stale, volume_units))]
    return pl.concat(found).sort("security_id", "session", "rule")


def _doubted(bars: pl.DataFrame, rows: pl.DataFrame, spiked: pl.DataFrame) -> pl.DataFrame:
    """What doubtful() gives. bars: in order; the others as _broken takes them."""
    if spiked.is_empty():
        unspiked = rows
    else:
        unspiked = _with_bar_before(bars.join(spiked, on=["security_id", "session"], how="anti", maintain_order="left"))
    silent = pl.col("days_before") > LONGEST_SILENCE
    apart = (pl.col("low") > pl.col("high_before")) | (pl.col("high") < pl.col("low_before"))
    jump = (_close / pl.col("close_before")).log().abs()
    ends = {
        "last": pl.col("session_before").cast(pl.String),
        **_columns("close_before", "close"),
        "days": pl.col("days_before"),
    }
    jumped = {**ends, "factor": (_close / pl.col("close_before")).round_sig_figs(6)}
    found = [
        _found(unspiked, SCALE, ~silent & apart & (jump >= math.log(SCALE_FACTOR)), jumped),
        _found(unspiked, LONG_SILENCE, silent, ends),
    ]
    return pl.concat(found).sort("security_id", "session", "rule")


def spikes(rows: pl.DataFrame) -> pl.DataFrame:
    """Closes that jump away from the close before, and from the level, by a factor and return with the next bar.

    The factor is UNTRADED_FACTOR where nothing was traded and the bar has one price, APART_FACTOR where the bar lies
    wholly above or below both its neighbours (a genuine move begins at the old price), and SPIKE_FACTOR otherwise. Of
    several false bars in a row, up to RUN_BARS, all are found if they are RUN_FACTOR away.
    """
    left = (_close / pl.col("close_before")).log().abs() >= math.log(UNTRADED_FACTOR)
    # A run begins where the close jumps. Few do, and only the rows from there on have to be examined.
    near = rows.filter(pl.any_horizontal(left.shift(bar) for bar in range(RUN_BARS + 1)))
    runs = near.with_columns(
        pl.when(left & _away(length)).then(_moved(length)).over("security_id").alias(f"run_{length}")
        for length in range(1, RUN_BARS + 1)
    )
    factor = pl.max_horizontal(
        pl.col(f"run_{length}").shift(bar).over("security_id")
        for length in range(1, RUN_BARS + 1)
        for bar in range(length)
    )
    runs = runs.with_columns(factor=factor.exp().round(3))
    evidence = _columns("close_before", "close", "close_after", "volume", "factor")
    return _found(runs, SPIKE, pl.col("factor").is_not_null(), evidence)


def _moved(length: int) -> pl.Expr:
    """How far ``length`` bars from this one on are from the closes around them and from the level, as a logarithm."""
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
    """Whether ``length`` bars from this one on jumped away from the bar before, and the bar after them returned."""
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


def decimal_points(rows: pl.DataFrame) -> pl.DataFrame:
    """Highs and lows with a shifted decimal point: 10 or 100 times off the close of their bar and of the bar before.

    A wrong close breaks the contract or is a spike. Deep lows of a crash stay: they are not off by a power of ten.
    """
    return _found_reaching(rows, DECIMAL_POINT, _moved_decimal_point)


def stray_prices(rows: pl.DataFrame) -> pl.DataFrame:
    """Highs and lows far beyond the closes of their bar and of the bar before, by any factor.

    Beyond STRAY_ANYWHERE they were never paid. From STRAY_FACTOR on they are false where nothing else indicates such a
    day: the bar's other prices lie close together, and either the market was calm or no more than usual was traded.
    News moves the rest of the bar, too (UAL 2008-09-08), and a market that breaks down for a moment does so for many
    securities (2010-05-06, 2015-08-24). Powers of ten are left to decimal_points.
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
        return far & ~_moved_decimal_point(factor)

    return _found_reaching(rows, STRAY, strays, "volume", "recent_volume", "median_reach")


def stale(rows: pl.DataFrame) -> pl.DataFrame:
    """Bars of STALE_VOLUME shares or more that repeat every figure of the bar before, which itself is not found."""
    same = pl.all_horizontal(pl.col(name) == pl.col(f"{name}_before") for name in _FIGURES)
    evidence = {"same_as": pl.col("session_before").cast(pl.String), **_columns("close", "volume")}
    return _found(rows, STALE, same & (_volume >= STALE_VOLUME), evidence)


def volume_units(rows: pl.DataFrame) -> pl.DataFrame:
    """Volumes in another unit: about 100 or 1,000 times the usual and a multiple of that, of a liquid security.

    The multiple is the evidence: shares taken for lots end in as many zeros, while a genuinely large turnover ends in
    any digits. From VOLUME_ANYWHERE on, of thin symbols from VOLUME_OF_THIN on, digits do not matter. Only volumes that
    are too large are found: a single one outweighs the whole market's volume. One that is too small hardly changes it,
    and leaving out its bar would lose a direction for nothing.
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
    evidence = {**_columns("volume", "usual_volume"), "factor": factor}
    return _found(rows, VOLUME_UNIT, factor.is_not_null(), evidence)


def silent_sessions(sessions: pl.DataFrame) -> pl.DataFrame:
    """The sessions that lost their volumes as a whole: a fault of the session, not of single bars.

    sessions: session, bars, without_volume (how many of them). Adds ``share`` and keeps those above SILENT_SHARE.
    """
    shares = sessions.with_columns(share=pl.col("without_volume") / pl.col("bars"))
    return shares.filter((pl.col("share") > SILENT_SHARE) & (pl.col("without_volume") >= SILENT_BARS))


_FIGURES = (*PRICES, "volume")
_usual_low, _usual_high = pl.min_horizontal("close", "close_before"), pl.max_horizontal("close", "close_before")
_REACH = {"low": _usual_low / pl.col("low"), "high": pl.col("high") / _usual_high}  # beyond both closes, as a factor


def _with_bar_before(bars: pl.DataFrame) -> pl.DataFrame:
    """Bars in order, each with the previous bar of its security."""
    ordered = by_history(bars).with_columns(_volume.cast(pl.Float64))
    own = pl.col("security_id") == pl.col("security_id").shift(1)
    before = {f"{name}_before": pl.when(own).then(pl.col(name).shift(1)) for name in (*_FIGURES, "session")}
    return ordered.with_columns(**before).with_columns(
        days_before=(pl.col("session") - pl.col("session_before")).dt.total_days()
    )


def _market(ordered: pl.DataFrame) -> pl.DataFrame:
    """session, bars_of_session, median_reach: how many bars have a previous one, and the median of their reach."""
    own = pl.col("security_id") == pl.col("security_id").shift(1)
    before = ordered.select("session", "low", "high", "close", close_before=pl.when(own).then(_close.shift(1)))
    reach = before.drop_nulls("close_before").select("session", reach=pl.max_horizontal(_REACH.values()))
    return reach.group_by("session").agg(bars_of_session=pl.len(), median_reach=pl.col("reach").median().round(4))


def _with_neighbours(bars: pl.DataFrame, market: pl.DataFrame) -> pl.DataFrame:
    """The same with the next close, the level, the usual volume, and what ``market`` says of the session."""
    own = {
        "close_after": _close.shift(-1),
        "level": _close.rolling_median(LEVEL_BARS, min_samples=1).shift(1),
        "usual_volume": _volume.rolling_median(VOLUME_BARS).shift(1),
        "recent_volume": _volume.rolling_median(VOLUME_BARS, min_samples=LEVEL_BARS).shift(1),
    }
    rows = _with_bar_before(bars).with_columns(value.over(HISTORY).alias(name) for name, value in own.items())
    return rows.join(market, on="session", how="left", maintain_order="left").with_columns(
        pl.col("bars_of_session").fill_null(0)
    )


def _moved_decimal_point(factor: pl.Expr) -> pl.Expr:
    places = factor.log10()
    return pl.any_horizontal((places - whole).abs() <= DECIMAL_TOLERANCE for whole in DECIMAL_PLACES)


def _found_reaching(rows: pl.DataFrame, rule: str, broken: Callable[[pl.Expr], pl.Expr], *seen: str) -> pl.DataFrame:
    """The bars whose low or high is ``broken``; a bar with both is found once."""
    near = pl.col("days_before") <= NEIGHBOUR_DAYS
    found = []
    for field, factor in _REACH.items():
        evidence = {"field": pl.lit(field), **_columns(field, "close_before", "close", *seen)}
        measured = {"places": factor.log10().round(4)} if rule == DECIMAL_POINT else {"factor": factor.round(3)}
        found.append(_found(rows, rule, near & broken(factor), evidence | measured))
    return pl.concat(found).unique(["security_id", "session"], keep="first", maintain_order=True)


def _columns(*columns: str) -> dict[str, pl.Expr]:
    return {column: pl.col(column) for column in columns}


def _found(rows: pl.DataFrame, rule: str, broken: pl.Expr, evidence: dict[str, pl.Expr]) -> pl.DataFrame:
    facts = pl.struct(value.alias(name) for name, value in evidence.items())
    hits = rows.filter(broken.fill_null(value=False))
    return hits.with_columns(rule=pl.lit(rule), evidence=facts.struct.json_encode()).select(_FOUND)
