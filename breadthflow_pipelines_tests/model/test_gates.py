"""The words for what holds: first five, the count, and the command that helps."""

import datetime as dt

import pytest

from breadthflow_pipelines.model.gates import accepting, described, listed, remedy

DAYS = [dt.date(1970, 11, day) for day in (12, 13, 16, 17, 18, 19, 20)]


def hold(gate: str, day: dt.date, said: str, universe: str = "*") -> dict[str, object]:
    return {"gate": gate, "universe": universe, "session": day, "said": said}


@pytest.mark.parametrize(("many", "text"), [(2, "1, 2"), (5, "1, 2, 3, 4, 5"), (1_006, "1, 2, 3, 4, 5 and 1,001 more")])
def test_five_are_named_and_the_others_counted(many: int, text: str) -> None:
    assert listed(range(1, many + 1)) == text


def test_sessions_of_one_finding_are_told_together_and_universes_apart() -> None:
    assert described(hold("bars_complete", day, "no bars") for day in DAYS) == (
        "no bars on 1970-11-12, 1970-11-13, 1970-11-16, 1970-11-17, 1970-11-18 and 2 more "
        "(breadthflow holes lists them)"
    )
    thin = [hold("coverage_at_gate", DAYS[0], said, universe) for universe, said in (("b", "2 of 9"), ("a", "1 of 9"))]
    assert described(thin) == "a: 1 of 9 on 1970-11-12; b: 2 of 9 on 1970-11-12"
    assert (
        described([hold("bars_keep_contract", DAYS[0], "9 of 90 rows rejected")]) == "9 of 90 rows rejected in 1970-11"
    )
    many = [hold("coverage_at_gate", day, f"{number} of 9", "u") for number, day in enumerate(DAYS)]
    assert described(many).endswith("u: 4 of 9 on 1970-11-18; and 2 more")


@pytest.mark.parametrize(
    ("check", "first", "last", "words"),
    [
        ("bars_complete", DAYS[0], DAYS[0], "backfill --from 1970-11-12 --to 1970-11-12; if the source has no more: "),
        ("bars_complete", DAYS[0], DAYS[2], 'accept-hole 1970-11-12 --to 1970-11-16 --reason "..."'),
        ("coverage_at_gate", DAYS[0], DAYS[0], "or set a lower BREADTHFLOW_COVERAGE_GATE"),
        ("bars_keep_contract", DAYS[0], DAYS[1], "breadthflow rejected --from 1970-11-01 --to 1970-11-30; "),
        ("bars_keep_contract", DAYS[0], DAYS[1], "; to go on without these rows: breadthflow accept-hole 1970-11-12 "),
        ("every_symbol_answered", None, None, "breadthflow problems (what could not be read, and why); when "),
        ("bars_still_given", DAYS[0], DAYS[0], "backfill --from 1970-11-12 --to 1970-11-12; until then they stay "),
        ("memberships_still_given", None, None, "give what is missing again (its file, or its rows in BREADTHFLOW_UNI"),
        ("quarantine_bounded", DAYS[0], DAYS[1], "confirm --proposals or release --proposals, with --reason; then "),
        ("members_have_indicators", DAYS[0], DAYS[0], "breadthflow backfill --from 1970-11-12 --to 1970-11-12"),
        ("bars_current", DAYS[0], DAYS[0], "breadthflow run"),  # a backfill of a day that has just closed is a run
        ("bars_exist", None, None, "breadthflow run"),  # no session is known
    ],
)
def test_each_failure_has_a_command(check: str, first: dt.date | None, last: dt.date | None, words: str) -> None:
    assert words in remedy("bars", check, first, last)


def test_a_hole_of_which_no_session_is_known_still_names_the_command() -> None:
    assert accepting(None) == 'breadthflow accept-hole SESSION --reason "..."'
