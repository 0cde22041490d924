"""Every benchmark in turn: its table on the screen, and all figures in one JSON file.

python benchmarks [--json FILE]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = ("reading", "files", "counts", "catalogue", "technical", "load_bars", "dagster_storage", "backfill")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), help="where the figures go")
    target: Path = parser.parse_args().json
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        for benchmark in BENCHMARKS:
            written = Path(name, f"{benchmark}.jsonl")
            environment = {**os.environ, "BENCHMARK_FIGURES": str(written)}
            subprocess.run([sys.executable, HERE / f"{benchmark}.py"], env=environment, check=True)
            figures[benchmark] = [json.loads(line) for line in written.read_text().splitlines()]
            target.write_text(json.dumps(figures, indent=2) + "\n")
    sys.stderr.write(f"All figures: {target.absolute()}\n")


if __name__ == "__main__":
    main()
