"""The monthly review: what nobody looks at from day to day, and what to do about it. Composes text of facts.

It is about the packages that the program runs with and about the lists of members. Each part says what to do next; the
parts of which something is to be done come first.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from breadthflow_pipelines.observability.packages import Named, Packages
from breadthflow_pipelines.reports import bulletin
from breadthflow_pipelines.reports.bulletin import Part, few, number

Row = Mapping[str, Any]
TESTED_FOR = 92  # days after which other versions should be tested: fixes of security holes come several times a year
STILL_FOR = 183  # days without a change; an index of hundreds changes several times in half a year
FAR_AHEAD = 366  # days; nobody knows changes that far ahead, so a date beyond stands for "still in"
SILENT_FOR = 5  # sessions without a bar; a halt seldom lasts a week


@dataclass(frozen=True)
class Review:
    """What a review is made of.

    day: the exchange's. python, server: versions of Python and of PostgreSQL. universes, silent, outsiders: rows as
    warehouse/review_listing.py gives them.
    """

    day: dt.date
    python: str
    server: str
    packages: Packages
    universes: Sequence[Row]
    silent: Sequence[Row]
    outsiders: Sequence[Row]

    @property
    def tested_days(self) -> int | None:
        """How many days ago the newest of the tested packages was published; None where no lock says it."""
        return (self.day - self.packages.newest).days if self.packages.newest else None

    @property
    def still(self) -> list[Row]:
        """Universes whose list has not changed for long."""
        return [row for row in self.universes if row["changed"] and (self.day - row["changed"]).days > STILL_FOR]

    @property
    def far_ahead(self) -> list[Row]:
        """Universes with a change so far in the future that somebody must have meant "still in"."""
        return [row for row in self.universes if (row["latest"] - self.day).days > FAR_AHEAD]


def headline(review: Review) -> str:
    """How much there is to do."""
    found = sum(serious for serious, _ in _weighed(review))
    return f"{number(found, 'subject')} to look after" if found else "nothing to look after"


def next_command(review: Review) -> str:
    """What to do first."""
    return next((part.todo for serious, part in _weighed(review) if serious), "nothing")


def parts(review: Review) -> list[Part]:
    """Every part; those first of which something is to be done."""
    return [part for _, part in sorted(_weighed(review), key=lambda weighed: not weighed[0])]


def plain(review: Review) -> str:
    """The parts as text, for a message and the terminal."""
    return bulletin.plain(parts(review))


def text(review: Review) -> str:
    """The same with its headline, for the terminal."""
    return bulletin.text(f"{review.day}: {headline(review)}", parts(review), next_command(review))


def markdown(review: Review) -> str:
    """The same with its headline, for the UI."""
    return bulletin.markdown(f"{review.day}: {headline(review)}", parts(review), next_command(review))


def figures(review: Review) -> dict[str, int | None]:
    """The same in numbers; what is not known is None."""
    packages = review.packages
    return {
        "packages": packages.needed,
        "packages whose needs are unmet": len(packages.unmet),
        "packages of untested versions": len(packages.untested) if packages.newest else None,
        "days since the newest tested package": review.tested_days,
        "packages held back": len(_held(packages)),
        "packages held back without a cause": sum(named.cause_gone for named in packages.named),
        "universes": len(review.universes),
        "universes without a change for long": len(review.still),
        "members without recent bars": len(review.silent),
        "securities in no universe": len(review.outsiders),
    }


def _weighed(review: Review) -> list[tuple[bool, Part]]:
    """Every part, and whether something is to be done about it."""
    return [
        _packages(review.packages),
        _age(review),
        _pins(review),
        _silent(review),
        _lists(review),
        _ahead(review),
        _outsiders(review),
        _below(review),
    ]


def _packages(packages: Packages) -> tuple[bool, Part]:
    untested = f"{len(packages.untested)} of untested versions" if packages.newest else "which were tested is unknown"
    wrong = [*packages.unmet, *packages.untested]
    todo = "install what was tested: uv sync --frozen in a checkout, or build the image again" if wrong else ""
    said = f"{packages.needed} are needed; {number(len(packages.unmet), 'need')} unmet, {untested}"
    return bool(wrong), Part("Packages", said, few(wrong), todo)


def _age(review: Review) -> tuple[bool, Part]:
    name, look = "Tested versions", "known holes are not looked up here: make audit, where there is a network"
    if review.tested_days is None:
        return False, Part(name, "their age is unknown, because there is no uv.lock beside the program", (), look)
    old = review.tested_days > TESTED_FOR
    dated = sorted((named.released, named.name, named.version) for named in review.packages.named if named.released)
    lines = [f"{package} {version} is of {released}" for released, package, version in dated]
    said = f"the newest is of {review.packages.newest}, {number(review.tested_days, 'day')} ago"
    todo = f"in a checkout: uv lock --upgrade, make test-all, then deploy; {look}" if old else look
    return old, Part(name, said, few(lines), todo)


def _held(packages: Packages) -> list[Named]:
    return [named for named in packages.named if named.held]


def _pins(review: Review) -> tuple[bool, Part]:
    held = sorted(_held(review.packages), key=lambda named: not named.cause_gone)
    lines = [
        f"{named.name} {named.held}{'; its cause is gone' if named.cause_gone else ''}: {named.version} is installed"
        + (f", of {named.released}" if named.released else "")
        for named in held
    ]
    gone = ", ".join(named.name for named in held if named.cause_gone)
    said = number(len(held), "package") + (f"; of {gone} the cause is gone" if gone else "")
    todo = "on a branch: raise a bound in pyproject.toml, uv lock, make test-all; docs/dependencies.md has the reasons"
    return bool(gone), Part("Held back", said, lines, todo if held else "")


def _silent(review: Review) -> tuple[bool, Part]:
    lines = [f"{_of(row)} {row['symbol']}: {_stopped(row)}" for row in review.silent]
    todo = "end the membership in the universe's list, or see whether the source has another symbol" if lines else ""
    name = f"Members without a bar for {SILENT_FOR} sessions"
    return bool(lines), Part(name, f"{len(lines):,}" if lines else "none", few(lines), todo)


def _stopped(row: Row) -> str:
    last = f"the last bar is of {row['last_bar']}" if row["last_bar"] else "there is no bar"
    return f"{last}; the symbol was given up on {row['given_up']}" if row["given_up"] else last


def _lists(review: Review) -> tuple[bool, Part]:
    lines = [f"{_of(row)}: {number(row['members'], 'member')}, {_changed(row, review.day)}" for row in review.universes]
    still = ", ".join(_of(row) for row in review.still)
    said = number(len(lines), "universe") + (f"; no change for long: {still}" if still else "")
    todo = (
        "see whether the list is still kept: a newer BREADTHFLOW_UNIVERSE_FILE, then breadthflow run" if still else ""
    )
    return bool(still), Part("Lists of members", said, few(lines), todo)


def _changed(row: Row, day: dt.date) -> str:
    if row["changed"] is None:
        return "begins later"
    return f"changed on {row['changed']}, {number((day - row['changed']).days, 'day')} ago"


def _ahead(review: Review) -> tuple[bool, Part]:
    rows = [row for row in review.universes if row["days"]]
    lines = [f"{_of(row)}: on {number(row['days'], 'day')}, the last on {row['latest']}" for row in rows]
    todo = "leave valid_to empty in the universe's list where a member is still in" if review.far_ahead else ""
    said = number(len(rows), "universe") if rows else "none"
    return bool(review.far_ahead), Part("Changes of members in the future", said, few(lines), todo)


def _outsiders(review: Review) -> tuple[bool, Part]:
    lines = [f"{row['symbol']}{_invented(row)}: bars through {row['last_bar']}" for row in review.outsiders]
    todo = "put those into a universe that are to count; the others only take up room" if lines else ""
    return False, Part("Securities with bars in no universe", f"{len(lines):,}" if lines else "none", few(lines), todo)


def _below(review: Review) -> tuple[bool, Part]:
    said = f"Python {review.python}, PostgreSQL {review.server}"
    where = "https://devguide.python.org/versions and https://www.postgresql.org/support/versioning"
    return False, Part("It runs on", said, (), f"how long they are supported is not known here: see {where}")


def _of(row: Row) -> str:
    return f"{row['universe']}{_invented(row)}"


def _invented(row: Row) -> str:
    return " (synthetic)" if row["synthetic"] else ""
