"""Files of bars with every line accounted for, against a lenient scan of the same columns that accounts for none."""

import tempfile
from functools import partial
from pathlib import Path

import polars as pl
from common import in_turn, show
from made_files import demo_bars

from breadthflow_pipelines.sources.demo_companies import EPOCH
from breadthflow_pipelines.sources.files import Files

COLUMNS = ("open", "high", "low", "close", "volume")
FILES = 1_000


def accounted_for(path: Path, bars: pl.DataFrame) -> None:
    chunks = Files(path).bars(None, EPOCH, bars["session"].max())  # type: ignore[arg-type]
    assert sum(chunk.bars.height for chunk in chunks) == bars.height


def lenient(path: Path, bars: pl.DataFrame) -> None:
    rows = 0
    for file in sorted(path.glob("*.csv")) if path.is_dir() else [path]:
        scan = pl.scan_csv(file, infer_schema=False, truncate_ragged_lines=True)
        numbers = [pl.col(name).cast(pl.Float64, strict=False) for name in COLUMNS]
        rows += scan.select(pl.col("session").str.to_date(strict=False), *numbers).collect().height
    assert rows == bars.height


if __name__ == "__main__":
    bars = demo_bars().select("symbol", "session", *COLUMNS).sort("symbol", "session")
    few = bars.filter(pl.col("symbol").rank("dense") <= FILES)
    with tempfile.TemporaryDirectory(prefix="bf-") as name:
        one, quoted, many = (Path(name) / place for place in ("one.csv", "quoted.csv", "many"))
        bars.write_csv(one)
        bars.with_columns(name=pl.format("{}, Inc.", "symbol")).write_csv(quoted)
        many.mkdir()
        for (symbol,), own in few.group_by("symbol"):
            own.drop("symbol").write_csv(many / f"{symbol}.csv")
        number = len(list(many.iterdir()))
        for title, path, held in (
            (f"{few.height:,} bars in {number:,} files", many, few),
            (f"{bars.height:,} bars in a file", one, bars),
            ("the same with quoted names", quoted, bars),
        ):
            show(
                title,
                in_turn(
                    {
                        "every line accounted for, looked into first": partial(accounted_for, path, held),
                        "scanned": partial(lenient, path, held),
                    }
                ),
            )
