"""The ``breadthflow`` command: one module for each kind of command, in the order in which --help lists them.

Modules import what only some of their commands need when these are called, so that each starts quickly.
"""

from breadthflow_pipelines.cli import runs, reading, explaining, judging, calibration, publishing  # isort: skip
from breadthflow_pipelines.cli import decisions, records, sources, service, serving, backups  # isort: skip
from breadthflow_pipelines.cli.app import app, main

__all__ = [
    "app",
    "backups",
    "calibration",
    "decisions",
    "explaining",
    "judging",
    "main",
    "publishing",
    "reading",
    "records",
    "runs",
    "service",
    "serving",
    "sources",
]
