"""What the review says of given facts, worked out by hand."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from breadthflow_pipelines.observability.packages import Named, Packages
from breadthflow_pipelines.reports.review import Review, figures, headline, markdown, next_command, plain

DAY = dt.date(2026, 7, 1)
PACKAGES = Packages(
    needed=137,
    unmet=[],
    untested=[],
    newest=dt.date(2026, 6, 21),
    named=[
        Named("polars", "1.30", dt.date(2026, 6, 1), "", cause_gone=False),
        Named("sqlalchemy", "2.0.58", dt.date(2026, 5, 1), "<2.1", cause_gone=False),
    ],
)
KEPT = {
    "universe": "big",
    "synthetic": False,
    "members": 500,
    "changed": dt.date(2026, 6, 29),
    "days": 0,
    "latest": dt.date(2026, 6, 29),
}
QUIET = Review(day=DAY, python="3.11.2", server="18.1", packages=PACKAGES, universes=[KEPT], silent=[], outsiders=[])
SILENT = {
    "universe": "demo",
    "synthetic": True,
    "symbol": "GONE",
    "last_bar": dt.date(2026, 6, 1),
    "given_up": dt.date(2026, 6, 2),
}


def packaged(**changes: Any) -> dict[str, Any]:
    return {"packages": replace(PACKAGES, **changes)}


def listed(**changes: Any) -> dict[str, Any]:
    return {"universes": [KEPT, {**KEPT, "universe": "other", **changes}]}


@pytest.mark.parametrize(
    ("facts", "subject", "line"),
    [
        (packaged(unmet=["a needs b<2; installed: 2.1"]), "Packages", "a needs b<2; installed: 2.1"),
        (packaged(untested=["a 2 (tested: 1)"]), "Packages", "a 2 (tested: 1)"),
        (packaged(newest=dt.date(2026, 3, 30)), "Tested versions", "sqlalchemy 2.0.58 is of 2026-05-01"),  # 93 days
        (
            packaged(named=[Named("sqlalchemy", "2.0.58", None, "<2.1", cause_gone=True)]),
            "Held back",
            "sqlalchemy <2.1; its cause is gone: 2.0.58 is installed",
        ),
        (
            {"silent": [SILENT]},
            "Members without a bar for 5 sessions",
            "demo (synthetic) GONE: the last bar is of 2026-06-01; the symbol was given up on 2026-06-02",
        ),
        (
            {"silent": [{**SILENT, "last_bar": None, "given_up": None}]},
            "Members without a bar for 5 sessions",
            "demo (synthetic) GONE: there is no bar",
        ),
        (
            listed(changed=dt.date(2025, 12, 29)),  # 184 days
            "Lists of members",
            "other: 500 members, changed on 2025-12-29, 184 days ago",
        ),
        (
            listed(days=1, latest=dt.date(2099, 12, 31)),  # somebody wrote a date for "still in"
            "Changes of members in the future",
            "other: on 1 day, the last on 2099-12-31",
        ),
    ],
)
def test_what_has_to_be_looked_after_comes_first_with_what_to_do(
    facts: dict[str, Any], subject: str, line: str
) -> None:
    review = replace(QUIET, **facts)
    assert headline(review) == "1 subject to look after"
    lines = plain(review).splitlines()
    assert lines[0].startswith(f"{subject}: ")
    assert f"  - {line}" in lines
    assert f"  - next: {next_command(review)}" in lines
    assert next_command(review) != "nothing"


@pytest.mark.parametrize(
    "facts",
    [
        packaged(newest=dt.date(2026, 3, 31)),  # 92 days: a quarter is the rule
        listed(changed=dt.date(2025, 12, 30)),  # 183 days: half a year
        listed(days=2, latest=dt.date(2027, 7, 2)),  # 366 days: an index may announce that much
        listed(changed=None, days=1, latest=dt.date(2026, 8, 1)),  # a list that begins next month
        packaged(newest=None, named=[]),  # no lock: nothing is known, and nothing is claimed
        {"outsiders": [{"symbol": "SPY", "synthetic": False, "last_bar": DAY}]},  # a fund beside an index
    ],
)
def test_what_is_usual_asks_nobody_to_act(facts: dict[str, Any]) -> None:
    review = replace(QUIET, **facts)
    assert (headline(review), next_command(review)) == ("nothing to look after", "nothing")


def test_every_part_is_there_in_a_quiet_month_and_what_is_unknown_is_said() -> None:
    look = "next: known holes are not looked up here: make audit, where there is a network"
    assert plain(QUIET).splitlines() == [
        "Packages: 137 are needed; no needs unmet, 0 of untested versions",
        "Tested versions: the newest is of 2026-06-21, 10 days ago",
        "  - sqlalchemy 2.0.58 is of 2026-05-01",
        "  - polars 1.30 is of 2026-06-01",
        f"  - {look}",
        "Held back: 1 package",
        "  - sqlalchemy <2.1: 2.0.58 is installed, of 2026-05-01",
        "  - next: on a branch: raise a bound in pyproject.toml, uv lock, make test-all; docs/dependencies.md has the "
        "reasons",
        "Members without a bar for 5 sessions: none",
        "Lists of members: 1 universe",
        "  - big: 500 members, changed on 2026-06-29, 2 days ago",
        "Changes of members in the future: none",
        "Securities with bars in no universe: none",
        "It runs on: Python 3.11.2, PostgreSQL 18.1",
        "  - next: how long they are supported is not known here: see https://devguide.python.org/versions and "
        "https://www.postgresql.org/support/versioning",
    ]


def test_figures_are_null_where_nothing_is_known() -> None:
    assert figures(replace(QUIET, silent=[SILENT], **listed(changed=dt.date(2020, 1, 1)))) == {
        "packages": 137,
        "packages whose needs are unmet": 0,
        "packages of untested versions": 0,
        "days since the newest tested package": 10,
        "packages held back": 1,
        "packages held back without a cause": 0,
        "universes": 2,
        "universes without a change for long": 1,
        "members without recent bars": 1,
        "securities in no universe": 0,
    }
    unknown = figures(replace(QUIET, **packaged(newest=None, named=[])))
    assert (unknown["packages of untested versions"], unknown["days since the newest tested package"]) == (None, None)


def test_it_ends_however_much_there_is_and_markdown_shows_names_as_they_are() -> None:
    review = replace(QUIET, silent=[{**SILENT, "symbol": "A_B*"}] * 400)
    assert plain(review).count("GONE") == 0
    assert "  - and 395 more\n" in plain(review)
    assert markdown(review).startswith("**2026-07-01: 1 subject to look after**\n\n**Members without a bar")
    assert r"A\_B\*" in markdown(review)
