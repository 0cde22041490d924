"""The journal: what it settles, for which ranges and how long, and that nothing half written counts."""

import datetime as dt
from pathlib import Path

import pytest

from breadthflow_pipelines.sources.journal import BELIEVED, Journal
from breadthflow_pipelines.sources.protocol import Outcome

JANUARY, MARCH, JUNE, JULY = (dt.date(2024, month, 1) for month in (1, 3, 6, 7))
NOW = dt.datetime(2024, 7, 2, tzinfo=dt.UTC)


class Present:
    """A present that tests move."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def present() -> Present:
    return Present()


def journal(tmp_path: Path, present: Present) -> Journal:
    """The journal as a new process finds it."""
    return Journal(tmp_path / "sources" / "vendor" / "journal.jsonl", present)


@pytest.mark.parametrize(
    ("outcome", "start", "end", "settled"),
    [
        (Outcome.FETCHED, MARCH, JUNE, True),
        (Outcome.FETCHED, dt.date(2024, 4, 1), dt.date(2024, 5, 1), True),  # within what was asked for
        (Outcome.FETCHED, JANUARY, JUNE, False),
        (Outcome.FETCHED, MARCH, JULY, False),
        (Outcome.ABSENT, MARCH, JUNE, True),
        (Outcome.NOT_YET, MARCH, JUNE, False),
        (Outcome.FAILED, MARCH, JUNE, False),
    ],
)
def test_only_answers_that_will_not_change_are_believed_and_only_for_their_range(
    tmp_path: Path, present: Present, outcome: Outcome, start: dt.date, end: dt.date, settled: bool
) -> None:
    journal(tmp_path, present).note({"A": outcome}, MARCH, JUNE)
    assert journal(tmp_path, present).settled("A", start, end) == (outcome if settled else None)
    assert journal(tmp_path, present).settled("B", start, end) is None


def test_what_is_old_is_neither_believed_nor_gone_back_for(tmp_path: Path, present: Present) -> None:
    journal(tmp_path, present).note({"A": Outcome.FETCHED, "B": Outcome.FAILED}, MARCH, JUNE)
    assert journal(tmp_path, present).unfinished_since() == MARCH
    present.now += BELIEVED
    assert journal(tmp_path, present).settled("A", MARCH, JUNE) is None
    assert journal(tmp_path, present).unfinished_since() is None


def test_a_failure_keeps_its_first_day_and_its_age_until_all_of_it_is_got(tmp_path: Path, present: Present) -> None:
    journal(tmp_path, present).note({"A": Outcome.FAILED}, JANUARY, MARCH)
    present.now += BELIEVED / 2
    journal(tmp_path, present).note({"A": Outcome.FAILED}, JUNE, JULY)  # a daily run fails as well
    assert journal(tmp_path, present).unfinished_since() == JANUARY
    journal(tmp_path, present).note({"A": Outcome.FETCHED}, JUNE, JULY)
    assert journal(tmp_path, present).unfinished_since() == JANUARY  # that was not what is missing
    found = journal(tmp_path, present)
    found.close()
    assert journal(tmp_path, present).unfinished_since() == JANUARY
    present.now += BELIEVED / 2  # a week after it failed first, whatever failed since
    assert journal(tmp_path, present).unfinished_since() is None


def test_a_call_without_failures_leaves_nothing(tmp_path: Path, present: Present) -> None:
    found = journal(tmp_path, present)
    found.note({"A": Outcome.FAILED, "B": Outcome.FETCHED}, MARCH, JUNE)
    found.close()
    again = journal(tmp_path, present)
    assert again.settled("B", MARCH, JUNE) is Outcome.FETCHED
    again.note({"A": Outcome.FETCHED}, MARCH, JUNE)
    again.close()
    assert not again.path.exists()
    again.close()  # nothing there is nothing to do
    assert again.settled("B", MARCH, JUNE) is None


def test_a_line_half_written_or_of_another_kind_counts_for_nothing(tmp_path: Path, present: Present) -> None:
    found = journal(tmp_path, present)
    found.note({"A": Outcome.FETCHED, "B": Outcome.FETCHED}, MARCH, JUNE)
    text = found.path.read_text()
    found.path.write_text("[]\n{}\nnonsense\n" + text[: -len(text) // 4])
    read = journal(tmp_path, present)
    assert read.settled("A", MARCH, JUNE) is Outcome.FETCHED
    assert read.settled("B", MARCH, JUNE) is None
