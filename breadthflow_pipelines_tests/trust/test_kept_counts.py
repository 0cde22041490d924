"""What stays of published counts that a publication gives no more, series by series."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.counts import PUBLISHED
from breadthflow_pipelines.trust.kept_counts import SERIES, kept_by_series, kept_counts, refuse_unlike, with_kept

DAYS = [dt.date(2024, 1, day) for day in (2, 3, 4, 5, 8)]
SCHEMA = {"session": pl.Date, **dict.fromkeys(PUBLISHED, pl.Int64), "index_close": pl.Float64}


def counts(**series: list[float | None]) -> pl.DataFrame:
    """Rows of the five days, without those that have nothing; advances and declines are alike."""
    columns = {"declines": series.get("advances"), **series}
    known = {name: columns.get(name) or [None] * len(DAYS) for name in SCHEMA if name != "session"}
    return pl.DataFrame({"session": DAYS, **known}, schema=SCHEMA).filter(pl.any_horizontal(pl.exclude("session") > 0))


STORED = counts(advances=[1, 2, 3, 4, 5], up_volume=[10, 20, 30, 40, 50], index_close=[0.1, 0.2, 0.3, 0.4, 0.5])


def after(given: pl.DataFrame, name: str) -> list[float | None]:
    """What there is of a series once the publication was read."""
    both = with_kept(given, kept_counts(given, STORED))
    assert both.schema == SCHEMA
    return [both.filter(session=day)[name].item() if day in both["session"] else None for day in DAYS]


def test_the_same_publication_keeps_nothing() -> None:
    assert kept_counts(STORED, STORED).is_empty()
    assert with_kept(STORED, kept_counts(STORED, STORED)).equals(STORED)
    assert kept_by_series(kept_counts(STORED, STORED)).is_empty()


def test_what_lies_before_a_shorter_publication_and_after_it_stays() -> None:
    given = counts(advances=[None, None, 9, 8, None])
    assert after(given, "advances") == [1, 2, 9, 8, 5]
    assert after(given, "declines") == [1, 2, 9, 8, 5]


def test_within_a_publication_its_own_values_count_and_what_it_lacks_goes() -> None:
    given = counts(advances=[1, 7, None, 4, 5], up_volume=[10, None, 30, 41, 50])
    assert after(given, "advances") == [1, 7, None, 4, 5]
    assert after(given, "up_volume") == [10, None, 30, 41, 50]


def test_each_series_begins_on_a_session_of_its_own() -> None:
    given = counts(advances=[1, 2, 3, 4, 6], up_volume=[None, None, None, 44, 55], index_close=[None, None, 3.0, 4, 5])
    assert after(given, "advances") == [1, 2, 3, 4, 6]
    assert after(given, "up_volume") == [10, 20, 30, 44, 55]  # and not null where the others have a row
    assert after(given, "index_close") == [0.1, 0.2, 3, 4, 5]
    assert kept_by_series(kept_counts(given, STORED)).rows() == [
        ("advv", 3, DAYS[0], DAYS[2]),
        ("index", 2, DAYS[0], DAYS[1]),
    ]


def test_a_level_without_any_count_is_not_kept() -> None:
    given = counts(advances=[1, None, 3, 4, 5], index_close=[None, None, 0.3, 0.4, 0.5])
    assert after(given, "advances") == [1, None, 3, 4, 5]
    assert after(given, "index_close") == [0.1, None, 0.3, 0.4, 0.5]  # nobody counted on the second session


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ({"up_volume"}, "X_advv.csv is not there any more, .* values are stored, 5 of up_volume. Put the file back"),
        ({"index_close"}, "X_index.csv is not there .*import-breadth DIRECTORY --exchange X --replace"),
        ({"advances", "declines"}, "X_advn.csv and X_decln.csv are not there .* 5 of advances and 5 of declines"),
    ],
)
def test_a_stored_series_that_has_no_value_any_more_is_refused(gone: set[str], said: str) -> None:
    given = STORED.with_columns(pl.lit(None, SCHEMA[name]).alias(name) for name in gone)
    with pytest.raises(RequestError, match=said):
        refuse_unlike(given, STORED, "X")
    refuse_unlike(STORED, given, "X")  # one that comes anew is welcome
    refuse_unlike(given, STORED.clear(), "X")


def test_an_index_on_another_scale_does_not_go_on_where_the_stored_one_ends() -> None:
    tenfold = [None, None, 3.0, 4.0, 5.0]
    given = counts(advances=[1, 2, 3, 4, 5], up_volume=[10, 20, 30, 40, 50], index_close=tenfold)
    with pytest.raises(RequestError, match=r"X_index\.csv has none of the levels that are stored"):
        refuse_unlike(given, STORED, "X")
    refuse_unlike(given.with_columns(index_close=pl.Series([None, None, 0.3, 4.0, 5.0])), STORED, "X")  # corrected
    refuse_unlike(STORED.with_columns(pl.col("index_close") * 10), STORED, "X")  # all of it on that scale


def test_every_series_of_the_files_may_be_kept() -> None:
    assert set(SERIES) == {*PUBLISHED, "index_close"}
