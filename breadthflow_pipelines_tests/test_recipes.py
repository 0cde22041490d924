"""The recipes of CONTRIBUTING.md for a count and for a check are complete: each is followed on a copy of the code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from breadthflow_pipelines.warehouse.database import HEAD

pytestmark = pytest.mark.slow  # each copy starts Python, Dagster and its tests again

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("breadthflow_pipelines", "breadthflow_pipelines_tests", "pyproject.toml", "dagster.yaml", "workspace.yaml")

ENTRY = '    Count("traded", "priced members with any volume", (("bars", "volume"),)),\n'
MARK = '    "traded": pl.col("volume") > 0,\n'
MIGRATION = '''"""How many members traded at all."""

import sqlalchemy as sa
from alembic import op

revision = "{number}"
down_revision = "{before}"
branch_labels = None
depends_on = None

_OWN = {own}


def upgrade() -> None:
    """A new column needs every month counted again, which a new convention asks for."""
    about = "priced members with any volume"
    op.add_column("breadth_counts", sa.Column("traded", sa.BigInteger(), nullable=False, comment=about))
    op.create_check_constraint(op.f("breadth_counts_traded_not_negative"), "breadth_counts", "traded >= 0")
    found = op.get_bind().execute(
        sa.text(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = 'breadth_indicators'::regclass AND attnum > 0 "
            "AND NOT attisdropped ORDER BY attnum"
        )
    )
    indicators = "".join(f", {{name}}" for (name,) in found if name not in _OWN)
    op.execute("DROP VIEW breadth; DROP VIEW all_counts")
    op.execute("""{all_counts}""")
    op.execute("COMMENT ON VIEW all_counts IS '{all_counts_about}'")
    op.execute(f"""{breadth}""")
    op.execute("COMMENT ON VIEW breadth IS '{breadth_about}'")


def downgrade() -> None:
    """Not needed here."""
'''
# A developer pastes the texts of the views into the migration; here the copy's own code writes them down.
WRITE_MIGRATION = """
import sys
from pathlib import Path
from breadthflow_pipelines.warehouse import tables, views
from breadthflow_pipelines_tests.test_recipes import MIGRATION
before, number, place = sys.argv[1:]
breadth = views.breadth(["INDICATORS"])
Path(place).write_text(MIGRATION.format(
    before=before, number=number, own=tuple(c.name for c in tables.breadth_indicators.c),
    all_counts=views.ALL_COUNTS.statement, all_counts_about=views.ALL_COUNTS.comment,
    breadth=breadth.statement.replace(", INDICATORS", "{indicators}"), breadth_about=breadth.comment))
"""
CHECK = '''

@dg.asset_check(asset="bars")
def bars_traded(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """There are bars at all."""
    span = run_span(context, market)
    return result(context, market, {}, span.months, passed="somebody traded")
'''
COMMAND = "from breadthflow_pipelines.cli import main; main()"


class Copy:
    """A copy of the code and its tests, in which recipes are followed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, root / name)

    def insert(self, file: str, after: str, text: str) -> None:
        """Put text behind the only line that begins so."""
        path = self.root / "breadthflow_pipelines" / file
        lines = path.read_text().splitlines(keepends=True)
        (place,) = (number for number, line in enumerate(lines) if line.lstrip().startswith(after))
        path.write_text("".join([*lines[: place + 1], text, *lines[place + 1 :]]))

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace the only such text."""
        path = self.root / "breadthflow_pipelines" / file
        (before, after) = path.read_text().split(old)
        path.write_text(before + new + after)

    def python(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the copy, so that it imports the copy and nothing else of ours."""
        environment = {**os.environ, "PYTHONPATH": str(self.root), **settings}
        return subprocess.run(
            [sys.executable, *arguments], cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path / "copy")


def add_count(copy: Copy) -> None:
    """The recipe for a count, all but its expression."""
    number = f"{int(HEAD) + 1:04d}"
    copy.insert("model/counts.py", 'Count("gap"', ENTRY)
    copy.replace("warehouse/database.py", f'HEAD = "{HEAD}"', f'HEAD = "{number}"')
    place = copy.root / "breadthflow_pipelines/warehouse/migrations/versions" / f"{number}_traded.py"
    written = copy.python("-c", WRITE_MIGRATION, HEAD, number, str(place))
    assert written.returncode == 0, written.stderr


HELD_TO_IT = (
    "breadthflow_pipelines_tests/model",
    "breadthflow_pipelines_tests/warehouse/test_schema.py",
    "breadthflow_pipelines_tests/contracts/test_breadth.py",
    "breadthflow_pipelines_tests/orchestration/test_registries.py",
)
ONE_DAY = """
import datetime as dt
import polars as pl
from breadthflow_pipelines.indicators.counts import count_breadth
day = dt.date(2024, 1, 2)
bars = pl.DataFrame({"security_id": [1, 2, 3], "session": day, "high": 1.0, "low": 1.0, "close": 1.0,
                     "volume": [5, 0, 7], "close_adjusted": 1.0})
members = pl.DataFrame({"universe": "u", "security_id": [1, 2, 3], "sector": None, "valid_from": day, "valid_to": None},
                       schema_overrides={"sector": pl.String, "valid_to": pl.Date})
sessions = pl.DataFrame({"session": [day], "ordinal": [1], "counted": [True]})
print(count_breadth(bars, members, sessions)["traded"].to_list())
"""


def test_an_entry_an_expression_and_a_migration_are_a_count(copy: Copy) -> None:
    add_count(copy)
    copy.insert("indicators/counts.py", '"gap": pl.col("gap")', MARK)

    counted = copy.python("-c", ONE_DAY)
    assert counted.stdout == "[2]\n", counted.stderr  # two of three traded
    tested = copy.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *HELD_TO_IT)
    assert tested.returncode == 0, tested.stdout[-4_000:]


def test_a_count_without_an_expression_is_noticed(copy: Copy) -> None:
    add_count(copy)
    tested = copy.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "breadthflow_pipelines_tests/model")
    assert tested.returncode == 1
    assert "traded" in tested.stdout


def test_a_function_is_a_check(copy: Copy, home: Path) -> None:
    path = copy.root / "breadthflow_pipelines/orchestration/checks/bars.py"
    path.write_text(path.read_text() + CHECK)

    tested = copy.python("-m", "pytest", "-q", "-p", "no:cacheprovider", HELD_TO_IT[-1])
    assert tested.returncode == 0, tested.stdout[-4_000:]
    settings = {"BREADTHFLOW_HOME": str(home), "BREADTHFLOW_START": "2026-08"}
    assert copy.python("-c", COMMAND, "db", "upgrade", **settings).returncode == 0
    checked = copy.python("-c", COMMAND, "check", "--quick", "--select", "bars", **settings)
    assert "bars_traded" in checked.stdout + checked.stderr
