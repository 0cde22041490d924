"""Files from the web: whole or not at all, asked for again when that may help, and never with a credential shown."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from breadthflow_pipelines.errors import SourceError
from breadthflow_pipelines.sources import web as web_module
from breadthflow_pipelines.sources.throttle import BURST, StopAskingError, Throttle, retry_after
from breadthflow_pipelines.sources.web import ATTEMPTS, Web, is_page
from breadthflow_pipelines_tests.sources.vendor import (
    ERROR,
    SILENT,
    Answer,
    Clock,
    FileVendor,
    Request,
    serve,
    too_many,
)

CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def vendor() -> Iterator[FileVendor]:
    yield from serve(FileVendor())  # type: ignore[misc]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def web(clock: Clock) -> Web:
    return Web(Throttle(2, 100, clock=clock.now, sleep=clock.sleep, jitter=lambda: 1.0))


def half(content: bytes, tag: str | None = None) -> Answer:
    return Answer(content, headers={"ETag": tag} if tag else {}, half=True)


def fetched(web: Web, address: str, target: Path) -> bytes:
    assert web.fetch(address, target)
    return target.read_bytes()


@pytest.mark.parametrize(
    ("fault", "waits"),
    [
        (too_many("30"), [30.0]),
        (too_many(), [2.0]),
        (ERROR, [2.0]),
        (half(CONTENT), [2.0]),
        (Answer(status=408), [2.0]),
    ],
    ids=["429 that says when", "429", "500", "half a body", "408"],
)
def test_what_passes_is_asked_again_after_a_while(
    vendor: FileVendor, web: Web, clock: Clock, fault: Answer, waits: list[float]
) -> None:
    vendor.files["/a.csv"] = CONTENT
    vendor.first["/a.csv"] = [fault]
    assert web.read(f"{vendor.url}/a.csv") == CONTENT
    assert clock.waits == waits


def test_silence_is_ended_by_a_time_out(vendor: FileVendor, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "TIMEOUT", 0.2)
    vendor.files["/a.csv"] = CONTENT
    vendor.first["/a.csv"] = [SILENT]
    assert web.read(f"{vendor.url}/a.csv") == CONTENT


def test_what_does_not_pass_is_an_error_after_a_few_attempts(vendor: FileVendor, web: Web, clock: Clock) -> None:
    vendor.first["/a.csv"] = [ERROR] * 9
    with pytest.raises(SourceError, match=rf"/a\.csv cannot be read: HTTP 500, {ATTEMPTS} times; run again later"):
        web.read(f"{vendor.url}/a.csv")
    assert (len(vendor.asked), clock.waits) == (ATTEMPTS, [2.0, 4.0, 8.0])


def test_what_is_refused_is_not_asked_for_again(vendor: FileVendor, web: Web) -> None:
    vendor.first["/a.csv"] = [Answer(status=403)]
    with pytest.raises(SourceError, match="is refused: HTTP 403"):
        web.read(f"{vendor.url}/a.csv")
    assert len(vendor.asked) == 1


def test_a_long_pause_is_not_waited_for(vendor: FileVendor, web: Web, clock: Clock) -> None:
    vendor.first["/a.csv"] = [too_many("86400")]
    with pytest.raises(SourceError, match="HTTP 429, and it asks for no requests for 86400 seconds"):
        web.read(f"{vendor.url}/a.csv")
    assert clock.waits == []


def test_what_is_not_there_is_nothing_and_no_error(vendor: FileVendor, web: Web) -> None:
    assert web.read(f"{vendor.url}/none.csv") is None


def test_nobody_there_is_an_error_without_credentials(vendor: FileVendor, web: Web) -> None:
    address = vendor.url.replace("http://", "http://me:geheim@") + "/a.csv?token=geheim"
    vendor.close()
    for ask in (web.read, web.check):
        with pytest.raises(SourceError, match="no connection") as error:
            ask(address)
        assert "geheim" not in str(error.value)


def test_an_answer_that_does_not_end_is_cut_off(vendor: FileVendor, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "MOST_BYTES", 1000)
    vendor.files["/a.csv"] = CONTENT
    with pytest.raises(SourceError, match="has more than"):
        web.read(f"{vendor.url}/a.csv")


def test_a_file_is_sent_once_and_again_when_it_changed(vendor: FileVendor, web: Web, tmp_path: Path) -> None:
    address, target = f"{vendor.url}/d.zip", tmp_path / "archives" / "d.zip"
    vendor.files["/d.zip"] = CONTENT
    assert fetched(web, address, target) == CONTENT
    assert fetched(web, address, target) == CONTENT
    assert "If-None-Match" in vendor.asked[-1].headers
    vendor.files["/d.zip"] = CONTENT[::-1]
    assert fetched(web, address, target) == CONTENT[::-1]
    assert len(vendor.asked) == 3


def test_a_file_that_broke_off_goes_on_from_there_even_in_another_run(
    vendor: FileVendor, web: Web, tmp_path: Path, clock: Clock
) -> None:
    address, target = f"{vendor.url}/d.zip", tmp_path / "d.zip"
    vendor.files["/d.zip"] = CONTENT
    tag = vendor.answer(Request("GET", "/d.zip", {}, {})).headers["ETag"]
    vendor.first["/d.zip"] = [half(CONTENT, tag), *[ERROR] * (ATTEMPTS - 1)]
    with pytest.raises(SourceError):
        web.fetch(address, target)
    assert not target.exists()
    later = Web(Throttle(2, 100, clock=clock.now, sleep=clock.sleep))
    assert fetched(later, address, target) == CONTENT
    start = int(vendor.asked[-1].headers["Range"].removeprefix("bytes=").removesuffix("-"))
    assert len(CONTENT) // 2 - web_module.PIECE < start <= len(CONTENT) // 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.zip", "d.zip.json"]


def test_a_file_that_changed_after_it_broke_off_is_fetched_from_its_beginning(
    vendor: FileVendor, web: Web, tmp_path: Path
) -> None:
    vendor.first["/d.zip"] = [half(CONTENT, '"old"')]
    vendor.files["/d.zip"] = CONTENT[::-1]
    assert fetched(web, f"{vendor.url}/d.zip", tmp_path / "d.zip") == CONTENT[::-1]


def test_a_file_that_does_not_exist_any_more_does_not_stay(vendor: FileVendor, web: Web, tmp_path: Path) -> None:
    vendor.files["/d.zip"] = CONTENT
    assert web.fetch(f"{vendor.url}/d.zip", tmp_path / "d.zip")
    del vendor.files["/d.zip"]
    assert not web.fetch(f"{vendor.url}/d.zip", tmp_path / "d.zip")
    assert not (tmp_path / "d.zip").exists()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Wed, 06 Mar 2024 12:02:00 GMT", 120.0),
        ("Wed, 06 Mar 2024 11:00:00 GMT", 0.0),  # past already
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_is_seconds_or_a_moment(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, dt.datetime(2024, 3, 6, 12, tzinfo=dt.UTC)) == seconds


def test_requests_keep_their_rate_after_a_burst(clock: Clock) -> None:
    throttle = Throttle(rate=2, budget=1000, clock=clock.now, sleep=clock.sleep)
    for _ in range(100):
        throttle.ask()
    assert clock.seconds == pytest.approx((100 - BURST) / 2)
    clock.seconds += 3600  # a long pause does not save up more than a burst
    before = clock.seconds
    for _ in range(int(BURST) + 2):
        throttle.ask()
    assert clock.seconds - before == pytest.approx(1)


def test_a_budget_is_for_one_run(clock: Clock) -> None:
    throttle = Throttle(rate=50, budget=2, clock=clock.now, sleep=clock.sleep)
    for _ in range(2):
        throttle.begin()
        throttle.ask()
        throttle.ask()
        with pytest.raises(StopAskingError, match="budget of 2 requests"):
            throttle.ask()


def test_waits_grow_to_a_limit_and_are_spread(clock: Clock) -> None:
    for jitter, expected in ((0.0, [1, 2, 4, 8, 16, 30, 30]), (1.0, [2, 4, 8, 16, 32, 60, 60])):
        clock.waits.clear()
        throttle = Throttle(1, 1, clock=clock.now, sleep=clock.sleep, jitter=lambda share=jitter: share)  # type: ignore[misc]
        for attempt in range(7):
            throttle.rest(attempt)
        assert clock.waits == expected


@pytest.mark.parametrize(
    ("content", "page"),
    [
        (b"\n <!DOCTYPE html><html>", True),
        (b"\xef\xbb\xbf<html lang=en>", True),
        (b"<TICKER>,<PER>,<DATE>", False),  # Stooq's header
        (b"20240102, 5", False),
        (b"", False),
    ],
)
def test_pages_are_known_by_their_beginning(content: bytes, page: bool) -> None:
    assert is_page(content) == page
