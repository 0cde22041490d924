"""Which source the settings mean. How each reads is in its own file."""

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.sources.demo import DemoMarket
from breadthflow_pipelines.sources.files import Files
from breadthflow_pipelines.sources.protocol import Source
from breadthflow_pipelines.sources.universe_file import instruments_beside

NAMES = ("demo", "files")


def configured_source(settings: Settings, calendar: ExchangeCalendar) -> Source:
    """The source that ``BREADTHFLOW_SOURCE`` names, with its settings.

    Raises:
        RequestError: the name is unknown, or a setting that the source needs is missing.
    """
    if settings.source == "demo":
        return DemoMarket(calendar, seed=settings.demo_seed)
    if settings.source == "files":
        if settings.source_path is None:
            raise RequestError("BREADTHFLOW_SOURCE=files needs BREADTHFLOW_SOURCE_PATH: a file or a directory of bars.")
        instruments = instruments_beside(settings.universe_file) if settings.universe_file else None
        return Files(settings.source_path, settings.source_columns, instruments)
    raise RequestError(f"BREADTHFLOW_SOURCE={settings.source} is unknown; there are: {', '.join(NAMES)}.")
