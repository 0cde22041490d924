"""Does a computation look ahead? It is asked again with the future cut off, and must say the same.

Whatever makes signals or outcomes can be asked, a rule of one's own among them. Knows none of them.
"""

import datetime as dt
from collections.abc import Callable, Iterable

import polars as pl


def looks_ahead(
    compute: Callable[[pl.DataFrame], pl.DataFrame],
    history: pl.DataFrame,
    cuts: Iterable[dt.date],
    *,
    settled: pl.Expr | None = None,
) -> pl.DataFrame:
    """What is said otherwise when the history ends earlier: ``cut``, ``known`` and the row, empty where nothing is.

    compute: gives rows with a ``session`` from a history with one. For each cut, what it says of the sessions through
    it must be the same of the whole history and of what was known at the cut. ``known`` is "then" for a row that only
    the cut history gives and "now" for one that only the whole gives. settled: which rows of the cut history are final,
    such as closed outcomes; the others may change, and so may those that the whole history adds to them.
    """
    whole = compute(history)
    found = []
    for cut in cuts:
        then = compute(history.filter(pl.col("session") <= cut))
        now = whole.filter(pl.col("session") <= cut)
        if settled is None:
            found.append(_only(now, then, cut, "now"))
        else:
            then = then.filter(settled)
        found.append(_only(then, now, cut, "then"))
    return pl.concat(found)


def _only(rows: pl.DataFrame, others: pl.DataFrame, cut: dt.date, known: str) -> pl.DataFrame:
    told = rows.join(others, on=rows.columns, how="anti", nulls_equal=True)
    return told.select(pl.lit(cut).alias("cut"), pl.lit(known).alias("known"), pl.all())
