"""The logs of Dagster's programs, in the form of all others (observability/logs.py)."""

import logging
import sys
from functools import partial, wraps
from typing import Any

import dagster as dg

from breadthflow_pipelines.observability.logs import InOurForm, configure_programs, of_run
from breadthflow_pipelines.orchestration.launches import DAEMON_PROGRAM
from breadthflow_pipelines.settings import Settings, get_settings

_SERVER = "uvicorn.config"


def take_over_logs(settings: Settings) -> None:
    """Make what this process of Dagster's logs look like our logs; what a command chose stays.

    A run without configured loggers gets Dagster's own, whatever its job defines, so it is that one which is changed.
    """
    ours = partial(configure_programs, settings.log_level, settings.log_format, settings.secrets)
    ours()
    dg.colored_console_logger._logger_fn = _console
    if _SERVER in sys.modules:  # the webserver's, which sets up its logs when it begins to listen
        formatters = sys.modules[_SERVER].LOGGING_CONFIG["formatters"]
        formatters.update({name: {"()": InOurForm} for name in formatters})
    if DAEMON_PROGRAM in sys.modules:
        _after_its_own(sys.modules[DAEMON_PROGRAM], ours)


def _after_its_own(daemon: Any, ours: partial[None]) -> None:
    """The daemon sets up its logs only after it has opened the storage: ours follow then."""
    theirs = daemon.configure_loggers

    @wraps(theirs)
    def configure(*arguments: Any, **options: Any) -> None:
        theirs(*arguments, **options)
        ours()

    daemon.configure_loggers = configure


def _console(context: dg.InitLoggerContext) -> logging.Logger:
    """What Dagster says while it executes a run. Of its level and the setting's, the higher one counts."""
    levels = logging.getLevelNamesMapping()
    own, least = levels[context.logger_config["log_level"].upper()], levels[get_settings().log_level or "DEBUG"]
    return of_run(max(own, least))
