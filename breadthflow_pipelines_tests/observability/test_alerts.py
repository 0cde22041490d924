"""What is sent, how often, and to whom: against a server on this machine that takes what Apprise sends."""

import datetime as dt
import io
import logging
from collections.abc import Callable

import pytest

from breadthflow_pipelines.observability.alerts import MOST_PER_QUIET, Alert, Alerter, deliver
from breadthflow_pipelines_tests.inbox import Inbox

BROKEN = Alert("bars failed", "SourceError: no answer", "bars, run 1a2b3c4d", "breadthflow run", kind=("bars",))


class Notebook:
    """A memory that a later process can be given."""

    def __init__(self) -> None:
        self.text: str | None = None

    def read(self) -> str | None:
        return self.text

    def write(self, text: str) -> None:
        self.text = text


class Clock:
    """The time as the test wants it."""

    def __init__(self) -> None:
        self.now = dt.datetime(2024, 1, 5, 23, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now

    def advance(self, **parts: float) -> None:
        self.now += dt.timedelta(**parts)


Make = Callable[..., Alerter]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
def alerter(inbox: Inbox, notebook: Notebook, clock: Clock) -> Make:
    """Makes an alerter as a new process would: it knows nothing but the notebook."""
    return lambda *urls, secrets=(): Alerter(urls or (inbox.url,), notebook, secrets, clock)


def test_an_alert_says_what_where_and_what_to_run_next(inbox: Inbox, alerter: Make) -> None:
    assert alerter().send(BROKEN) == "sent"
    assert inbox.texts == [
        "bars failed\nWhat   SourceError: no answer\nWhere  bars, run 1a2b3c4d\nNext   breadthflow run"
    ]


def test_the_same_is_said_once_an_hour_also_by_later_processes(inbox: Inbox, alerter: Make, clock: Clock) -> None:
    alerter().send(BROKEN)
    clock.advance(minutes=59)
    again = Alert(
        "bars failed", "SourceError: still no answer", "bars, run 5e6f7a8b", "breadthflow run", kind=("bars",)
    )
    assert alerter().send(again) == "the same was sent less than 1 h ago"
    assert alerter().send(Alert("counts failed", "w", "x", "y", kind=("counts",))) == "sent"
    clock.advance(minutes=2)
    assert alerter().send(again) == "sent"
    assert len(inbox.messages) == 3
    assert "still no answer" in inbox.texts[2]


def test_no_more_than_ten_alerts_an_hour_and_the_next_one_says_how_many_were_held_back(
    inbox: Inbox, alerter: Make, clock: Clock
) -> None:
    for number in range(MOST_PER_QUIET + 5):
        alerter().send(Alert(f"failure {number}", "w", "x", "y"))
    assert len(inbox.messages) == MOST_PER_QUIET
    assert "The last for now" in inbox.texts[-1]
    clock.advance(hours=1, seconds=1)
    alerter().send(Alert("another", "w", "x", "y"))
    assert "5 more were held back" in inbox.texts[-1]


def test_nobody_is_told_of_one_occasion_twice_however_late(inbox: Inbox, alerter: Make, clock: Clock) -> None:
    run = Alert("bars failed", "w", "x", "y", occasion="run 1a2b3c4d")
    alerter().send(run)
    clock.advance(days=3)
    assert alerter().send(run) == "already sent"
    assert len(inbox.messages) == 1


def test_what_no_address_took_is_logged_and_sent_later_but_not_after_a_day(
    inbox: Inbox, alerter: Make, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    inbox.status = 503
    assert alerter().send(BROKEN) == "no address took it"
    logged = capsys.readouterr().err
    assert "alert_not_taken" in logged
    assert "HTTP status 503" in logged
    assert "planted" not in logged
    clock.advance(hours=3)
    assert alerter().send_unsent() == 0  # still nobody there
    inbox.status = 200
    assert alerter().send_unsent() == 1
    assert alerter().send_unsent() == 0
    assert "of 2024-01-05 23:00 UTC; not taken then" in inbox.texts[0]

    inbox.status = 503
    alerter().send(Alert("another", "w", "x", "y"))
    inbox.status = 200
    clock.advance(hours=25)
    assert alerter().send_unsent() == 0
    assert len(inbox.messages) == 1


def test_one_address_that_takes_it_is_enough_and_the_other_is_named_by_its_scheme(
    inbox: Inbox, alerter: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    assert alerter("form://127.0.0.1:1/planted-nowhere", inbox.url).send(BROKEN) == "sent"
    assert len(inbox.messages) == 1
    logged = capsys.readouterr().err
    assert "1 form://***" in logged
    assert "planted" not in logged


def test_secrets_in_what_broke_are_hidden_in_message_and_memory(
    inbox: Inbox, alerter: Make, notebook: Notebook
) -> None:
    database = "postgresql://u:planted-password@h/d"
    broken = Alert(f"{database} is gone", f"cannot reach {inbox.url}", "planted-password", "password=planted")
    alerter(secrets=[database]).send(broken)
    inbox.status = 503
    alerter(secrets=[database]).send(Alert("other", f"{database}", "planted-token", "x"))
    assert len(inbox.texts) == 1
    assert "planted" not in inbox.texts[0] + str(notebook.text)
    assert "***" in inbox.texts[0]


def test_deliveries_say_which_address_took_it_and_never_show_one(
    inbox: Inbox, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = io.StringIO()  # as a process has it that logs to its stderr; caplog also hears what is kept from there
    monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler(logged)])
    told = deliver([inbox.url, "nosuch://planted", "json://127.0.0.1:1/planted", "slack://planted"], "t", "b")
    assert [(each.target, each.taken, each.reason) for each in told] == [
        ("1 json://***", True, ""),
        ("2 nosuch://***", False, "Apprise does not understand the address"),
        ("3 json://***", False, "no connection"),
        ("4 slack://***", False, "Apprise does not understand the address"),  # it needs more than that
    ]
    printed = capfd.readouterr()
    assert "planted" not in logged.getvalue() + printed.out + printed.err


def test_long_texts_are_cut_to_what_services_take(inbox: Inbox, alerter: Make) -> None:
    alerter().send(Alert("t" * 500, "w" * 5_000, "x" * 5_000, "y" * 5_000))
    assert len(inbox.messages[0]["title"]) == 150
    assert len(inbox.messages[0]["message"]) < 2_200


def test_without_an_address_nothing_is_sent_and_nothing_is_remembered(notebook: Notebook) -> None:
    assert Alerter((), notebook).send(BROKEN) == "no address is set"
    assert notebook.text is None


def test_a_memory_of_another_version_is_forgotten(alerter: Make, notebook: Notebook) -> None:
    notebook.text = '{"version": 7}'
    assert alerter().send(BROKEN) == "sent"
