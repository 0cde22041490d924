"""Files that arrive: when one has come in, what is news, what is not, and which months it touches."""

import datetime as dt
import os
from pathlib import Path

import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.orchestration.automation import file_arrivals
from breadthflow_pipelines.orchestration.automation.file_arrivals import Folder, key, look, ranges
from breadthflow_pipelines.orchestration.automation.folder_state import ArrivedFile, FolderState
from breadthflow_pipelines.sources.layout import Options

HEADER = "symbol,session,open,high,low,close,volume\n"


def bars(*days: str, symbol: str = "AAA") -> str:
    return HEADER + "".join(f"{symbol},{day},1,1,1,1,1\n" for day in days)


class Watcher:
    """Looks into a folder as the sensor does, over and over; each look knows only what the one before wrote."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 1_000_000.0
        self.written: str | None = None
        self.acknowledged: str | None = None

    def put(self, name: str, text: str, age: float = 0) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (self.now - age, self.now - age))
        return path

    def look(
        self, after: float = 31, *, acknowledge: bool = True, read_before: float | None = None, **options: object
    ) -> list[str]:
        """What arrived, by name, ``after`` seconds have passed."""
        return [file.path for file in self.arrivals(after, acknowledge, read_before, **options)]

    def arrivals(
        self, after: float = 31, acknowledge: bool = True, read_before: float | None = None, **options: object
    ) -> list[ArrivedFile]:
        self.now += after
        state = FolderState.from_text(self.written, self.acknowledged)
        folder = Folder(self.root, Options(), **options)  # type: ignore[arg-type]
        state, arrived = look(folder, state, self.now, read_before)
        self.written = state.to_text()
        if acknowledge:
            self.acknowledged = state.id
        return arrived


@pytest.fixture
def watcher(tmp_path: Path) -> Watcher:
    return Watcher(tmp_path / "drop")


def test_a_file_has_come_in_when_two_looks_saw_the_same_and_it_is_old_enough(watcher: Watcher) -> None:
    watcher.put("day.csv", bars("2024-01-05"))
    assert watcher.look(after=0) == []  # the first look
    assert watcher.look(after=29) == []  # unchanged, and too young
    assert watcher.look(after=1) == ["day.csv"]
    assert watcher.look() == []


def test_a_file_that_still_grows_is_waited_for(watcher: Watcher) -> None:
    watcher.put("day.csv", bars("2024-01-05"))
    watcher.look()
    watcher.put("day.csv", bars("2024-01-05", "2024-01-08"))
    assert watcher.look() == []
    watcher.put("day.csv", HEADER)  # being written again, and empty so far
    assert watcher.look(after=5) == []
    watcher.put("day.csv", bars("2024-01-05", "2024-01-08", "2024-01-09"))
    assert watcher.look(after=5) == []
    (arrived,) = watcher.arrivals()
    assert arrived.last == dt.date(2024, 1, 9)


def test_a_file_dated_in_the_future_comes_in_by_our_own_clock(watcher: Watcher) -> None:
    watcher.put("day.csv", bars("2024-01-05"), age=-7_200)  # the share's clock runs ahead
    assert watcher.look(after=0) == []
    assert watcher.look(after=31) == ["day.csv"]


@pytest.mark.parametrize(
    "name",
    [
        "day.csv.part",  # browsers and curl
        "day.csv.tmp",
        "day.csv.filepart",  # WinSCP
        ".day.csv.Xa81Bc",  # rsync
        ".hidden.csv",
        "~day.csv",
        ".snapshot/day.csv",
        "README.md",
    ],
)
def test_partial_and_hidden_names_are_nothing(watcher: Watcher, name: str) -> None:
    path = watcher.put(name, bars("2024-01-05"))
    watcher.look()
    assert watcher.look() == []
    path.rename(watcher.root / "whole.csv")  # as uploaders do in the end
    watcher.look()
    assert watcher.look() == ["whole.csv"]


def test_packed_files_arrive_like_others(watcher: Watcher) -> None:
    watcher.put("a.csv.gz", bars("2024-01-05"))  # whether it is packed says its content
    watcher.put("b.zip", "no archive")
    watcher.look()
    good, bad = watcher.arrivals()
    assert (good.path, good.first, good.problem) == ("a.csv.gz", dt.date(2024, 1, 5), "")
    assert (bad.path, bad.first) == ("b.zip", None)
    assert "File is not a zip file" in bad.problem


def test_a_name_that_is_no_utf_8_is_written_so_that_it_can_be_kept(watcher: Watcher) -> None:
    path = watcher.put("day.csv", bars("2024-01-05"))
    os.rename(path, os.fsencode(watcher.root) + b"/d\xe9j\xe0.csv")  # noqa: PTH104 - pathlib has no bytes
    watcher.look()
    (arrived,) = watcher.arrivals()
    assert (arrived.path, arrived.problem) == ("d\\xe9j\\xe0.csv", "")
    assert watcher.written.encode()
    assert watcher.look() == []


def test_files_of_other_kinds_beside_the_bars_are_left_alone(watcher: Watcher) -> None:
    other = watcher.put("members.csv", "universe,symbol,valid_from,valid_to\n")
    watcher.look(ignored=(other,))
    assert watcher.look(ignored=(other,)) == []


def test_each_content_is_news_once_whatever_is_done_to_the_file(watcher: Watcher) -> None:
    path = watcher.put("in/day.csv", bars("2024-01-05"))
    watcher.look()
    assert watcher.look() == ["in/day.csv"]
    os.utime(path)  # touched
    assert watcher.look() == watcher.look() == []
    (watcher.root / "archive").mkdir()
    path.rename(watcher.root / "archive" / "day.csv")  # moved
    assert watcher.look() == watcher.look() == []
    (watcher.root / "archive" / "day.csv").unlink()
    assert watcher.look() == []
    watcher.put("in/day.csv", bars("2024-01-05"))  # delivered again
    assert watcher.look() == watcher.look() == []


def test_a_changed_file_is_news_and_so_is_one_that_is_changed_back(watcher: Watcher) -> None:
    keys = []
    for text in (bars("2024-01-05"), bars("2024-01-05", "2024-01-08"), bars("2024-01-05")):
        watcher.put("day.csv", text)
        assert watcher.look() == []
        (arrived,) = watcher.arrivals()
        keys.append(arrived.key)
    assert len(set(keys)) == 3  # the store holds what came in between: it must be run, though it was run before


def test_equal_contents_of_two_symbols_are_both_news(watcher: Watcher) -> None:
    text = "Date,Open,High,Low,Close,Volume,OpenInt\n2024-01-05,1,1,1,1,1,0\n"
    watcher.put("aaa.us.txt", text)  # the symbol stands in the name
    watcher.put("bbb.us.txt", text)
    watcher.look()
    assert watcher.look() == ["aaa.us.txt", "bbb.us.txt"]


def test_what_was_asked_for_in_vain_is_asked_for_again_with_the_same_key(watcher: Watcher) -> None:
    watcher.put("day.csv", bars("2024-01-05"))
    watcher.look()
    (lost,) = watcher.arrivals(acknowledge=False)  # the daemon died before it made the run
    (again,) = watcher.arrivals()
    assert (again.path, again.key) == (lost.path, lost.key)
    assert watcher.look() == []


def test_on_the_first_look_only_what_came_after_the_last_run_is_news(watcher: Watcher) -> None:
    old = watcher.put("old.csv", bars("2024-01-05"))
    touched = max(old.stat().st_ctime, old.stat().st_mtime)
    watcher.now = touched + 10
    new = watcher.put("copied.csv", bars("2024-01-08"), age=86_400)  # its date is kept; that it was put here is not
    assert new.stat().st_ctime >= touched
    before = (touched + new.stat().st_ctime) / 2 if new.stat().st_ctime > touched else touched
    assert watcher.look(after=0, read_before=before) == []
    assert "copied.csv" in watcher.look()
    watcher.put("old.csv", bars("2024-01-05", "2024-01-09"))
    watcher.look()
    assert watcher.look() == ["old.csv"]


def test_a_file_that_cannot_be_read_is_named_once_and_read_when_it_is_whole(watcher: Watcher) -> None:
    watcher.put("day.csv", "<html>Too many requests</html>\n")
    watcher.look()
    (arrived,) = watcher.arrivals()
    assert "no column for" in arrived.problem
    assert watcher.look() == []
    watcher.put("day.csv", bars("2024-01-05"))
    watcher.look()
    (arrived,) = watcher.arrivals()
    assert arrived.problem == ""


def test_a_share_that_is_away_for_a_while_brings_no_old_news(watcher: Watcher, tmp_path: Path) -> None:
    watcher.put("day.csv", bars("2024-01-05"))
    watcher.look()
    watcher.look()
    watcher.root.rename(tmp_path / "away")
    watcher.root.mkdir()  # the mount point, empty
    assert watcher.look() == []
    watcher.root.rmdir()
    (tmp_path / "away").rename(watcher.root)
    assert watcher.look() == watcher.look() == []


def test_a_folder_of_too_many_files_is_refused(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_arrivals, "MOST_FILES", 2)
    for number in range(3):
        watcher.put(f"{number}.csv", bars("2024-01-05"))
    with pytest.raises(RequestError, match="more than 2 files; name a folder for new ones only"):
        watcher.look()


def test_what_is_known_of_files_that_are_gone_is_bounded(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_arrivals, "MOST_GONE", 2)
    for number in range(5):
        path = watcher.put(f"{number}.csv", bars(f"2024-01-0{number + 2}"))
        watcher.look()
        watcher.look()
        path.unlink()
    watcher.look()
    state = FolderState.from_text(watcher.written, watcher.acknowledged)
    assert state is not None
    assert sorted(state.files) == ["3.csv", "4.csv"]


def test_files_that_take_several_looks_to_read_are_news_together(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        watcher.put(f"{number}.csv", bars("2024-01-05"))
    watcher.look()
    clock, pause = iter(range(1_000)), file_arrivals.LOOK_SECONDS  # one file in each look
    with monkeypatch.context() as slow:
        slow.setattr(file_arrivals.time, "monotonic", lambda: next(clock) * pause)
        assert watcher.look() == watcher.look() == []
    assert watcher.look() == ["0.csv", "1.csv", "2.csv"]
    assert watcher.look() == []


def test_a_single_file_can_be_watched(watcher: Watcher) -> None:
    path = watcher.put("all.csv", bars("2024-01-05"))
    watcher.put("other.csv", bars("2024-01-05"))
    watcher.root = path
    watcher.look()
    assert watcher.look() == ["all.csv"]


def file(name: str, first: str, last: str) -> ArrivedFile:
    return ArrivedFile(name, name, dt.date.fromisoformat(first), dt.date.fromisoformat(last))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        # a vendor's daily file
        ([("a", "2024-02-05", "2024-02-05")], [("2024-02-05", "2024-02-05", "a")]),
        # files of one month, and of the month after it, are one run
        (
            [("a", "2024-01-02", "2024-01-31"), ("b", "2024-02-01", "2024-02-01"), ("c", "2024-01-03", "2024-01-03")],
            [("2024-01-02", "2024-02-01", "a c b")],
        ),
        # far apart: what lies between is left alone
        (
            [("a", "2020-01-02", "2020-01-31"), ("b", "2024-02-01", "2024-02-01")],
            [("2020-01-02", "2020-01-31", "a"), ("2024-02-01", "2024-02-01", "b")],
        ),
        # what history does not have and what has not closed is cut off
        ([("a", "1990-01-02", "2099-01-02")], [("2016-01-01", "2024-02-06", "a")]),
        ([("a", "1990-01-02", "1999-01-02"), ("b", "2024-02-07", "2024-02-08")], []),
    ],
)
def test_runs_are_about_the_months_that_the_files_touch(
    files: list[tuple[str, str, str]], expected: list[tuple[str, str, str]]
) -> None:
    found = ranges([file(*each) for each in files], dt.date(2016, 1, 1), dt.date(2024, 2, 6))
    assert [(str(first), str(last), " ".join(f.path for f in behind)) for first, last, behind in found] == expected


def test_the_key_of_a_run_follows_from_its_contents_in_any_order() -> None:
    one, other = file("a", "2024-01-02", "2024-01-02"), file("b", "2024-01-02", "2024-01-02")
    assert key([one, other]) == key([other, one]) != key([one])
