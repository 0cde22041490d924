"""Guards on counts that an exchange publishes: which rows may enter indicators, and the units of their numbers.

Here: six rules, each of which sees a row and the rows before it, never the future; the unit of volumes; which rows
count another list of issues, and their scale to the usual one. Elsewhere: reading files and rejecting lines by calendar
and form (sources/exchange_breadth.py), what a stored row must satisfy (contracts/breadth.py), and which values enter
indicators (the view all_counts). Nothing is corrected: a doubted value is left out. docs/decisions/published-counts.md
lists what was found in real files.
"""

import math
import statistics
from collections import deque
from collections.abc import Iterable, Iterator

import polars as pl

from breadthflow_pipelines.model.counts import DIRECTIONS, VOLUMES

UNITS = (1, 1_000, 1_000_000)  # shares per published unit

USUAL_ROWS = (
    21  # rows before, one month, whose median is the usual level; a new level becomes usual with its twelfth row
)
USUAL_FROM = 5  # rows that must be there: their median is right even if two of them are wrong

TOTAL_BAND = (5 / 6, 6 / 5)  # of the usual total. NASDAQ: genuine days 0.855 to 1.123, faults from 0.814 and 1.216 on
MOVED_BAND = (0.4, 2.5)  # of the usual A + D, where U is unknown: genuine days 0.60 to 2.16 while U was half of NASDAQ

SCOPE_BAND = (5 / 9, 9 / 5)  # of the usual total; half and double rows lie beyond it and are not another list of issues
SCOPE_SPREAD = 1.035  # between totals of one list, at most. NYSE's other list of 2008 and 2009 goes from 3,800 to 3,930
SCOPE_ROWS = 252  # rows back, a year, in which a level has to recur
SCOPE_FROM = 1  # earlier row of a level above the usual; below it, rows may be incomplete: USUAL_FROM of them
SCOPE_USUAL = 126  # rows, half a year: a list that counted more than half of them becomes the usual one

COPY_ISSUES = 1_000  # issues; with fewer, equal counts prove nothing; with more, chance is one in a million
COPY_ISSUES_ROWS = 21  # rows back; NASDAQ 1986-03-11 is the row of 1986-02-11
COPY_VOLUME = 1_000  # published units of up and of down volume, as above
COPY_VOLUMES_ROWS = 252  # rows back, a year; NASDAQ's volumes of 1987-09-04 are those of 1987-06-04

LEVEL_BAND = (1 / 8, 8)  # of the usual volume. NASDAQ: half days from 0.24, honest peaks to 3.3, faults 0.005 and 0.095
UNIT_BAND = (1 / 4, 4)  # the same for a row in another unit than the last: NASDAQ 1982-11-26, a stray, comes to 5.3
UNIT_REACH = math.sqrt(1_000)  # farther than this from its level a volume is nearer to it in another unit
ROUND_LOT = 100  # shares: what an issue trades at least, so an average below it is not in shares

SHARE_ROWS = 252  # prior rows, one year, from which the relation of volume to issues is estimated
SHARE_FROM = 63  # of them, a quarter of a year, must be there
SWAPPED_BEYOND = 4.0  # spreads from what the issues imply, as published ...
SWAPPED_WITHIN = 2.0  # ... and within these when swapped
SPREAD_PER_MEDIAN = 1.4826  # standard deviations per median absolute deviation of a normal distribution
NO_VARIANCE = 1e-9  # of the log odds; below it there is no slope

CONTRARY_MONTH = 21  # known rows, the last one among them: they decide where their correlation is clear ...
CONTRARY_FROM = 10  # of them must be there. Of NASDAQ's, no ten in a row come below -0.32; of six, some are at -0.74
CONTRARY_CLEAR = 0.4  # either way. NASDAQ's months have 0.36 to 0.99; of unrelated numbers, 4 months of 100 have -0.4
CONTRARY_QUARTER = 63  # known rows, whose sign decides elsewhere. NASDAQ's quarters have 0.69 to 0.98

TOTAL_FAR = "total issues far from their level"
ISSUES_COPIED = "issues copied from an earlier row"
VOLUMES_COPIED = "volumes copied from an earlier row"
SHARES_SWAPPED = "up and down volume swapped"
VOLUMES_CONTRARY = "up and down volume contrary to issues for weeks"
VOLUME_FAR = "volume far from its level"
AGAINST_ISSUES = (TOTAL_FAR, ISSUES_COPIED)
AGAINST_VOLUMES = (TOTAL_FAR, VOLUMES_COPIED, VOLUME_FAR, VOLUMES_CONTRARY, SHARES_SWAPPED)

_moved = pl.col("advances") + pl.col("declines")
_total = _moved + pl.col("unchanged")
_moved_volume = pl.col("up_volume") + pl.col("down_volume")
_has_volumes = pl.any_horizontal(pl.col("up_volume", "down_volume").is_not_null())
_odds = ("advances", "declines", "up_volume", "down_volume")


def judge_published(counts: pl.DataFrame) -> pl.DataFrame:
    """Judge each row of published counts: the rules that it fails, and which of its values may be used.

    counts: exchange, session, ISSUES and VOLUMES (Int64; null where not published), one row per exchange and session
    in any order, with the whole history of each exchange.

    Gives the same rows sorted by exchange and session, and

    - volume_unit (Int64): shares per published unit, one of UNITS. Null where volume is zero or unknown, and at
      the start until a row has issues and volume. A row with VOLUME_FAR has the unit of the last row that fitted.
    - usual_issues (Float64): the exchange's usual total, if the row counts another list of issues; else null. Such a
      row is valid, but its counts cannot be compared with its neighbours' without scaling: comparable() in counts.py.
    - doubts (List[String], never null): the rules that the row fails.
    - issues_usable, volume_usable (Boolean, never null): no rule doubts the ISSUES or VOLUMES of the row; volumes
      without a unit are not usable. A usable count may still be null, because rules pass where they cannot be applied.

    A row is judged by itself and the earlier rows of its exchange, so that later rows never change a judgement.
    """
    rules = {
        TOTAL_FAR: pl.col(TOTAL_FAR) | moved_far(),
        ISSUES_COPIED: issues_copied(),
        VOLUMES_COPIED: volumes_copied(),
        VOLUME_FAR: pl.col(VOLUME_FAR),
    }
    ordered = counts.sort("exchange", "session").with_columns(row=pl.int_range(pl.len()))
    names = (*rules, VOLUMES_CONTRARY, SHARES_SWAPPED)
    return (
        ordered.with_columns(*_issue_levels(ordered), *_volume_levels(ordered))
        .with_columns(rule.fill_null(value=False).alias(name) for name, rule in rules.items())
        .with_columns(known=~pl.any_horizontal(*rules) & pl.all_horizontal(pl.col(*_odds) > 0).fill_null(value=False))
        .with_columns(volumes_contrary(pl.col("known")).alias(VOLUMES_CONTRARY))
        .with_columns(_until_told_otherwise(pl.col(VOLUMES_CONTRARY)) & _has_volumes)
        .with_columns(
            shares_swapped(pl.col("known") & ~pl.col(VOLUMES_CONTRARY)).fill_null(value=False).alias(SHARES_SWAPPED)
        )
        .with_columns(
            doubts=pl.concat_list(pl.when(name).then(pl.lit(name)) for name in names).list.drop_nulls(),
            issues_usable=~pl.any_horizontal(AGAINST_ISSUES),
            volume_usable=~pl.any_horizontal(AGAINST_VOLUMES) & pl.col("volume_unit").is_not_null(),
        )
        .drop("row", "known", *names)
    )


def unit_stretches(judged: pl.DataFrame) -> pl.DataFrame:
    """Each run of rows with one unit: exchange, volume_unit, first and last session, and sessions (Int64, its rows).

    judged: as judge_published gives it. Rows without a unit neither count nor end a run.
    """
    stretch = pl.struct("exchange", "volume_unit").rle_id()
    return (
        judged.drop_nulls("volume_unit")
        .group_by("exchange", "volume_unit", stretch.alias("stretch"), maintain_order=True)
        .agg(first=pl.col("session").min(), last=pl.col("session").max(), sessions=pl.len().cast(pl.Int64))
        .drop("stretch")
    )


def scope_stretches(judged: pl.DataFrame) -> pl.DataFrame:
    """Each run of rows of another list of issues: exchange, first and last session, sessions (Int64), issues, usual.

    judged: as judge_published gives it. issues and usual (Float64): the medians of its totals and of the usual ones.
    """
    other = pl.col("usual_issues").is_not_null()
    stretch = pl.struct("exchange", other.alias("other")).rle_id()
    return (
        judged.with_columns(stretch=stretch)
        .filter(other)
        .group_by("exchange", "stretch", maintain_order=True)
        .agg(
            first=pl.col("session").min(),
            last=pl.col("session").max(),
            sessions=pl.len().cast(pl.Int64),
            issues=_total.median(),
            usual=pl.col("usual_issues").median(),
        )
        .drop("stretch")
    )


def moved_far() -> pl.Expr:
    """Whether A + D of a row without U is outside MOVED_BAND of its usual level; false of a row with U.

    The band is wide, because issues move between A + D and U. Null with fewer than USUAL_FROM prior rows.
    """
    usual = _moved.rolling_median(USUAL_ROWS, min_samples=USUAL_FROM).shift(1)
    outside = ~_moved.is_between(MOVED_BAND[0] * usual, MOVED_BAND[1] * usual)
    return pl.col("unchanged").is_null() & outside.over("exchange")


def issues_copied() -> pl.Expr:
    """Whether A, D and U equal those of one of the COPY_ISSUES_ROWS rows before; the earlier row is not doubted.

    Applies to exchanges with COPY_ISSUES issues, or if volumes are equal, too. Null where A or D is.
    """
    many = _seen_before(COPY_ISSUES_ROWS, *DIRECTIONS) & (_moved + pl.col("unchanged").fill_null(0) >= COPY_ISSUES)
    return many | (_seen_before(COPY_ISSUES_ROWS, *DIRECTIONS, *VOLUMES) & _volumes_tell())


def volumes_copied() -> pl.Expr:
    """Whether up and down volume equal those of one of the COPY_VOLUMES_ROWS rows before, whatever the issues are.

    Applies to volumes with enough digits to rule out chance (COPY_VOLUME). Null where either is.
    """
    return _seen_before(COPY_VOLUMES_ROWS, "up_volume", "down_volume") & _volumes_tell()


def volumes_contrary(known: pl.Expr) -> pl.Expr:
    """Whether up and down volume have run against advances and declines for weeks: one of the pairs is exchanged.

    Up volume is what advancing issues traded, so ln(UV / DV) rises with ln(A / D) on every market: the correlation is
    positive. Over the last CONTRARY_MONTH known rows it decides where it is CONTRARY_CLEAR or more, either way; else
    its sign over the last CONTRARY_QUARTER does. So a month tells, and a weak month of a small exchange does not.
    Nothing is learnt, so an exchange that lasts is never taken for usual. What went before the last quarter does not
    count, so volumes that come right are used again within a month.

    known: rows that no other rule doubts, whose four values are positive. Null for others. False before there are
    CONTRARY_FROM of them; before there are CONTRARY_MONTH, only what is clear is told.
    """
    issues, volume = _log_odds(known)
    month = _correlation(issues, volume, CONTRARY_MONTH, CONTRARY_FROM)
    quarter = _correlation(issues, volume, CONTRARY_QUARTER, CONTRARY_MONTH)
    contrary = pl.when(month.abs() >= CONTRARY_CLEAR).then(month < 0).otherwise((quarter <= 0).fill_null(value=False))
    return pl.when(known).then(contrary.over("exchange", known))


def shares_swapped(known: pl.Expr) -> pl.Expr:
    """Whether up and down volume fit the issues far better the other way round.

    ln(UV / DV) is predicted from ln(A / D) by least squares over the prior SHARE_ROWS rows; the spread is the median
    absolute error of their predictions, as a standard deviation. A row is doubted if it is farther than SWAPPED_BEYOND
    spreads from its prediction and within SWAPPED_WITHIN when swapped. When a few large companies move against the
    many, a row is far off as well, but swapping does not bring it nearer.

    known: rows that no other rule doubts, whose four values are positive; others are neither judged nor learnt from.
    Null for those, before there are SHARE_FROM rows and as many predictions, and where the line does not rise: no
    market's falls, so it would be learnt from swapped rows.
    """
    issues, volume = _log_odds(known)
    mean_issues, mean_volume = _trailing_mean(issues), _trailing_mean(volume)
    variance = _trailing_mean(issues * issues) - mean_issues * mean_issues
    slope = pl.when(variance > NO_VARIANCE).then(
        (_trailing_mean(issues * volume) - mean_issues * mean_volume) / variance
    )
    predicted = mean_volume + pl.when(slope > 0).then(slope) * (issues - mean_issues)
    error = (volume - predicted).abs()
    usual_error = error.rolling_median(SHARE_ROWS, min_samples=SHARE_FROM).shift(1)
    spread = SPREAD_PER_MEDIAN * usual_error
    beyond = (error > SWAPPED_BEYOND * spread) & ((-volume - predicted).abs() <= SWAPPED_WITHIN * spread)
    return beyond.over("exchange")


def _log_odds(known: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """ln(A / D) and ln(UV / DV) of known rows; null for others."""
    advances, declines, up_volume, down_volume = (pl.col(name).cast(pl.Float64) for name in _odds)
    return pl.when(known).then((advances / declines).log()), pl.when(known).then((up_volume / down_volume).log())


def _correlation(one: pl.Expr, other: pl.Expr, rows: int, at_least: int) -> pl.Expr:
    """Pearson's, over the last rows with this one among them; null where either hardly varies."""

    def mean(values: pl.Expr) -> pl.Expr:
        return values.rolling_mean(rows, min_samples=at_least)

    variances = [mean(values * values) - mean(values) * mean(values) for values in (one, other)]
    common = mean(one * other) - mean(one) * mean(other)
    return pl.when(pl.min_horizontal(variances) > NO_VARIANCE).then(common / (variances[0] * variances[1]).sqrt())


def _until_told_otherwise(verdict: pl.Expr) -> pl.Expr:
    """The verdict of the last row that could be judged; false before there is one."""
    return verdict.forward_fill().over("exchange").fill_null(value=False)


def _trailing_mean(values: pl.Expr) -> pl.Expr:
    return values.rolling_mean(SHARE_ROWS, min_samples=SHARE_FROM).shift(1)


def _seen_before(rows: int, *names: str) -> pl.Expr:
    return (pl.col("row") - pl.col("row").shift(1).over("exchange", *names) <= rows).fill_null(value=False)


def _volumes_tell() -> pl.Expr:
    return pl.min_horizontal("up_volume", "down_volume") >= COPY_VOLUME


class IssueLevels:
    """The level of an exchange's total issues, A + D + U, row by row.

    The usual level is the median of the USUAL_ROWS rows before without those of another list. It includes doubted rows,
    so that a step beyond SCOPE_BAND, or one that is not another list, is accepted after 11 rows.
    """

    def __init__(self) -> None:
        self._near: deque[int | None] = deque(maxlen=USUAL_ROWS)
        self._year: deque[tuple[int, str]] = deque(maxlen=SCOPE_ROWS)

    def judge(self, total: int | None) -> tuple[float | None, bool]:
        """The usual total if this one counts another list, else None; and whether it is far from every level."""
        known = [value for value in self._near if value is not None]
        usual = statistics.median(known) if len(known) >= USUAL_FROM else None
        kind = _USUAL if total is None or usual is None else self._kind(total, usual)
        if kind != _OTHER:
            self._near.append(total)
        if total is not None:
            self._year.append((total, kind))
        if kind == _OTHER:
            self._take_over()
        return usual if kind == _OTHER else None, kind == _FAR

    def _kind(self, total: int, usual: float) -> str:
        if _within(total, usual, TOTAL_BAND):
            # At the edge of the band it may still be another list, if it is nearer to a known one.
            others = (value for value, kind in self._year if kind == _OTHER)
            return _OTHER if any(_alike(total, value, _apart(total, usual)) for value in others) else _USUAL
        if not _within(total, usual, SCOPE_BAND):
            return _FAR
        seen = sum(kind != _USUAL and _alike(total, value) for value, kind in self._year)
        return _OTHER if seen >= (SCOPE_FROM if total > usual else USUAL_FROM) else _FAR

    def _take_over(self) -> None:
        """Make another list the usual one once most rows of the last half year counted it."""
        recent = [kind for _, kind in self._year][-SCOPE_USUAL:]
        if 2 * recent.count(_OTHER) <= SCOPE_USUAL:
            return
        self._near = deque((value for value, kind in self._year if kind == _OTHER), maxlen=USUAL_ROWS)
        swapped = {_USUAL: _OTHER, _OTHER: _USUAL, _FAR: _FAR}
        self._year = deque(((value, swapped[kind]) for value, kind in self._year), maxlen=SCOPE_ROWS)


_USUAL, _OTHER, _FAR = "usual", "other", "far"


def _within(total: int, usual: float, band: tuple[float, float]) -> bool:
    return band[0] * usual <= total <= band[1] * usual


def _apart(one: float, other: float) -> float:
    """The larger over the smaller of two totals."""
    least = min(one, other)
    return max(one, other) / least if least > 0 else math.inf


def _alike(one: float, other: float, within: float = math.inf) -> bool:
    return _apart(one, other) <= SCOPE_SPREAD and _apart(one, other) < within


def _issue_levels(ordered: pl.DataFrame) -> pl.DataFrame:
    """usual_issues and TOTAL_FAR of each row with a total, exchange by exchange."""
    totals = ordered.select("exchange", total=_total)
    judged: list[tuple[float | None, bool]] = []
    for _, rows in totals.group_by("exchange", maintain_order=True):
        levels = IssueLevels()
        judged += [levels.judge(total) for total in rows["total"]]
    return pl.DataFrame(judged, schema={"usual_issues": pl.Float64, TOTAL_FAR: pl.Boolean}, orient="row")


def _volume_levels(ordered: pl.DataFrame) -> pl.DataFrame:
    """volume_unit and VOLUME_FAR of each row, exchange by exchange."""
    pairs = ordered.select("exchange", issues=_moved, volume=_moved_volume)
    levels = [
        level
        for _, rows in pairs.group_by("exchange", maintain_order=True)
        for level in volume_levels(rows.select("issues", "volume").iter_rows())
    ]
    return pl.DataFrame(levels, schema={"volume_unit": pl.Int64, VOLUME_FAR: pl.Boolean}, orient="row")


def volume_levels(rows: Iterable[tuple[int | None, int | None]]) -> Iterator[tuple[int | None, bool]]:
    """Unit of each row's volume, and whether no unit brings it to its level.

    rows: (A + D, UV + DV) of one exchange in order of sessions. Unchanged volume is not used: in NASDAQ's files it is
    sometimes the day's total. Each row gets the unit in which it is nearest, by ratio, to the median of the USUAL_ROWS
    volumes before it; the unit of the first follows from ROUND_LOT. A volume still outside LEVEL_BAND (UNIT_BAND, if
    the unit is not the last one) is far, and its unit is not used. It enters the level like the others, so that a
    genuine step is accepted after 11 rows, unless it is beyond UNIT_REACH: an unknown unit never becomes a new level.
    """
    recent: deque[int] = deque(maxlen=USUAL_ROWS)
    unit: int | None = None
    for issues, volume in rows:
        if not volume or (not recent and not issues):
            yield None, False
            continue
        if not recent:
            unit = first_unit(issues or 0, volume)
            recent.append(volume * unit)
            yield unit, False
            continue
        usual = statistics.median(recent)
        nearest = min(UNITS, key=lambda one: abs(math.log(volume * one / usual)))
        ratio = volume * nearest / usual
        low, high = LEVEL_BAND if nearest == unit else UNIT_BAND
        far = not low <= ratio <= high
        unit = unit if far else nearest
        if 1 / UNIT_REACH <= ratio <= UNIT_REACH:
            recent.append(volume * nearest)
        yield unit, far


def first_unit(issues: int, volume: int) -> int:
    """The smallest unit in which the issues that moved traded at least one round lot on average."""
    return next((unit for unit in UNITS if volume * unit >= ROUND_LOT * issues), UNITS[-1])
