"""How long a reading command takes to start, against the imports that it does without."""

import subprocess
import sys

from common import in_turn, show


def python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    reading = "from breadthflow_pipelines import cli; cli.app(['status', '--help'], standalone_mode=False)"
    show(
        "Start-up",
        in_turn(
            {
                "breadthflow status --help": lambda: python(reading),
                "import polars": lambda: python("import polars"),
                "import adbc_driver_postgresql.dbapi": lambda: python("import adbc_driver_postgresql.dbapi"),
                "import dagster": lambda: python("import dagster"),
            },
            rounds=5,
        ),
    )
