"""What the digest says of given facts, worked out by hand."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from breadthflow_pipelines.reports.digest import Digest, FailedRun, Size, headline, markdown, next_command, plain

DUE = dt.date(2024, 1, 2)
QUIET = Digest(
    day=dt.date(2024, 1, 3),
    since=dt.datetime(2024, 1, 2, 8, 15, tzinfo=dt.timezone(dt.timedelta(hours=-5))),
    synthetic=False,
    succeeded={},
    failed=(),
    canceled=0,
    unfinished=0,
    rows=(),
    checks=(),
    holds=(),
    due=DUE,
    held={"bars": DUE, "market_signals": None},
    late=(),
    statements=(),
    sizes={"market": Size(12.34, None)},
)
FAILED = FailedRun("1a2b3c4d-5e6f", "run_checks", "bars: it *broke* <b>", "breadthflow check")
DONE = FailedRun("5e6f7a8b-9c0d", "run_checks", "bars: gone", "breadthflow run", made_good="0f1e2d3c-4b5a")
WARNING = {"asset": "bars", "check": "members_have_bars", "severity": "warn", "said": "one has none", "next": "look"}
ERROR = {"asset": "bars", "check": "bars_complete", "severity": "error", "said": "a hole", "next": "mend"}
HOLD = {"gate": "bars_complete", "universe": "*", "session": DUE, "said": "no bars"}


@pytest.mark.parametrize(
    ("facts", "said", "command"),
    [
        ({}, "all is well", "nothing"),
        ({"synthetic": True}, "all is well (synthetic market)", "nothing"),  # invented data say so wherever they show
        ({"held": None}, "the store is empty", "breadthflow run"),
        ({"checks": [WARNING]}, "all is well", "nothing"),  # a warning asks nobody to act
        ({"checks": [ERROR]}, "1 check failing", "mend"),
        ({"failed": [FAILED, FAILED]}, "2 runs failed", "breadthflow check"),
        ({"failed": [DONE]}, "all is well", "nothing"),  # a later run did its work
        ({"failed": [DONE, FAILED]}, "1 run failed", "breadthflow check"),
        ({"failed": [FAILED], "late": ["bars"]}, "1 run failed, session 2024-01-02 is late", "breadthflow check"),
        # A gate that holds is said once, and comes first: nothing else helps before it is lifted.
        (
            {"failed": [FAILED], "holds": [HOLD], "checks": [ERROR]},
            "1 run failed, held by bars_complete",
            "breadthflow backfill --from 2024-01-02 --to 2024-01-02; if the source has no more: "
            'breadthflow accept-hole 2024-01-02 --reason "..."',
        ),
    ],
)
def test_the_headline_says_whether_somebody_must_act_and_what_to_run(
    facts: dict[str, Any], said: str, command: str
) -> None:
    digest = replace(QUIET, **facts)
    assert (headline(digest), next_command(digest)) == (said, command)


def test_every_part_is_there_on_a_quiet_day() -> None:
    assert plain(QUIET).splitlines() == [
        "Runs since 2024-01-02 13:15 UTC: none",
        "Freshness: session 2024-01-02 is due; no asset lacks it",
        "  - through 2024-01-02: bars",
        "  - nothing recent: market_signals",
        "Holds: no sessions",
        "Failing checks: no errors, no warnings",
        "Rows of these runs: 0 rejected, 0 revised, 0 quarantined",
        "Size: market 12.3 MB (growth unknown)",
        "Slowest queries: none yet",
    ]


def test_a_gate_that_holds_is_no_check_that_passes() -> None:
    text = plain(replace(QUIET, holds=[HOLD], checks=[ERROR, WARNING]))
    assert "Failing checks besides holds: no errors, 1 warning\n" in text


def test_figures_of_a_full_day() -> None:
    rows = [
        {"what": "rejected", "source": "files", "reason": "high below low", "synthetic": None, "rows": 1},
        {"what": "revised", "source": None, "reason": "correction", "synthetic": True, "rows": 1200},
        {"what": "revised", "source": None, "reason": "restatement", "synthetic": False, "rows": 34},
        {"what": "proposed", "source": None, "reason": "spike", "synthetic": False, "rows": 2},
    ]
    digest = replace(
        QUIET,
        succeeded={"run_checks": 1, "bring_up_to_date": 2},
        canceled=1,
        unfinished=2,
        rows=rows,
        checks=[ERROR, WARNING],
        statements=[{"seconds": 1.234, "calls": 5000, "statement": "SELECT $1"}],
        sizes={"market": Size(12.5, 10.25), "dagster": Size(3.0, 3.5)},
    )
    text = plain(digest)
    assert ": 3 succeeded (bring_up_to_date 2, run_checks 1), 1 canceled, 2 under way or queued\n" in text
    assert "Rows of these runs: 1 rejected, 1,234 revised, 0 quarantined, 2 proposed\n" in text
    assert "  - rejected of files: high below low, 1\n  - revised (synthetic): correction, 1,200\n" in text
    assert "Failing checks: 1 error, 1 warning\n  - bars.bars_complete: a hole\n" in text
    assert "  - bars.members_have_bars (warning): one has none\n" in text
    assert "Size: dagster 3.0 MB (-0.5 MB), market 12.5 MB (+2.2 MB)\n" in text
    assert text.endswith("  - 1,234 ms on average, 5,000 calls: SELECT $1")


def test_a_broken_night_does_not_make_it_endless() -> None:
    text = plain(replace(QUIET, failed=[FAILED] * 300))
    assert text.count("run 1a2b3c4d of run_checks failed") == 5
    assert "  - and 295 more\n" in text


def test_a_failed_run_whose_work_was_done_since_is_told_with_the_run_that_did_it() -> None:
    text = plain(replace(QUIET, failed=[DONE, FAILED]))
    assert text.startswith("Runs since 2024-01-02 13:15 UTC: 2 failed\n")
    assert "  - run 5e6f7a8b of run_checks failed (done since by run 0f1e2d3c): bars: gone\n" in text
    assert "  - run 1a2b3c4d of run_checks failed: bars: it *broke* <b>\n" in text


def test_markdown_shows_errors_as_they_are_with_the_headline_first() -> None:
    text = markdown(replace(QUIET, failed=[FAILED]))
    assert text.startswith("**2024-01-03: 1 run failed**\n\n**Runs since 2024-01-02 13:15 UTC**: 1 failed\n\n- run ")
    assert r"bars: it \*broke\* \<b\>" in text
    assert text.endswith("**Next**: breadthflow check")
