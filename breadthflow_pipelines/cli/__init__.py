"""The ``breadthflow`` command: one module for each kind of command, in the order in which --help lists them.

Modules import what only some of their commands need when these are called, so that each starts quickly.
"""

from breadthflow_pipelines.cli import runs, reading, judging, calibration, publishing, decisions, sources  # isort: skip
from breadthflow_pipelines.cli import service, backups  # isort: skip
from breadthflow_pipelines.cli.app import app, main

__all__ = [
    "app",
    "backups",
    "calibration",
    "decisions",
    "judging",
    "main",
    "publishing",
    "reading",
    "runs",
    "service",
    "sources",
]
