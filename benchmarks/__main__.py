"""Every benchmark in turn, the table of targets at the end, and all figures in one JSON file.

python benchmarks [--size default|full] [--only NAME,NAME] [--json FILE]. A benchmark that fails is said to, and the
others go on; the exit status is then 1. The default takes 20 minutes on two quiet cores, the full size about 90.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from common import console, print_targets, progress

HERE = Path(__file__).parent
MARKET = {"default": ("--symbols", "1400", "--bars", "2000000"), "full": ("--symbols", "7000", "--bars", "10000000")}
HISTORIES = {"default": ("--symbols", "700"), "full": ("--symbols", "7195")}
# By name: the script, and what it is given, by size where the sizes differ.
BENCHMARKS: dict[str, tuple[str, Mapping[str, Sequence[str]]]] = {
    "counts": ("counts.py", {}),
    "technical": ("technical.py", {}),
    "catalogue": ("catalogue.py", {}),
    "files": ("files.py", {}),
    "dagster_storage": ("dagster_storage.py", {}),
    "load_bars": ("load_bars.py", {}),
    "loading": ("loading.py", MARKET),
    "index": ("backfill.py", dict.fromkeys(MARKET, ("index",))),
    "api": ("api.py", {}),
    "market": ("backfill.py", {size: ("market", *arguments) for size, arguments in MARKET.items()}),
    "histories": ("backfill.py", {size: ("histories", *arguments) for size, arguments in HISTORIES.items()}),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=MARKET, default="default", help="of the markets that are loaded")
    parser.add_argument("--only", help=f"some of {','.join(BENCHMARKS)}")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), help="where the figures go")
    asked = parser.parse_args()
    names = asked.only.split(",") if asked.only else list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    machine = {
        "processors": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "python": platform.python_version(),
    }
    figures: dict[str, object] = {"size": asked.size, "machine": machine}
    rows: list[dict[str, object]] = []
    for number, name in enumerate(names, start=1):
        progress.print(f"{time.strftime('%H:%M:%S')}  {number} of {len(names)}: {name}", style="bold", highlight=False)
        found = _run(name, asked.size)
        figures[name] = found
        rows += [row for row in found if "row" in row]
        asked.json.write_text(json.dumps(figures, indent=2) + "\n")
    console.print("\n[bold]Targets[/]")
    print_targets(rows)
    progress.print(f"All figures: {asked.json.absolute()}", highlight=False)
    return int(any("failed" in row for row in rows))


def _run(name: str, size: str) -> list[dict[str, object]]:
    """What a benchmark noted; a row that says so where it did not end well."""
    script, arguments = BENCHMARKS[name]
    with tempfile.TemporaryDirectory() as place:
        notes = Path(place, "figures.jsonl")
        notes.touch()
        began = time.monotonic()
        ended = subprocess.run(
            [sys.executable, HERE / script, *arguments.get(size, ())],
            env={**os.environ, "BENCHMARK_FIGURES": str(notes)},
        )
        found = [json.loads(line) for line in notes.read_text().splitlines()]
    if ended.returncode:
        found.append({"row": name, "failed": f"{script} ended with {ended.returncode}"})
    return [*found, {"what": "the whole benchmark", "unit": "seconds", "figures": {name: time.monotonic() - began}}]


if __name__ == "__main__":
    sys.exit(main())
