"""The source that the settings name: one of ours, or one of an installed package. Each source has a module of its own.

A package provides a source by an entry point in the group ``breadthflow.sources``: a callable that takes the settings
and the calendar and returns a Source; see docs/sources.md.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from breadthflow_pipelines.errors import BreadthFlowError, RequestError
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.sources.demo import DemoMarket
from breadthflow_pipelines.sources.exchange_breadth import fetch_published_counts
from breadthflow_pipelines.sources.files import Files
from breadthflow_pipelines.sources.journal import Journal
from breadthflow_pipelines.sources.layout import Options
from breadthflow_pipelines.sources.protocol import Source
from breadthflow_pipelines.sources.throttle import Throttle
from breadthflow_pipelines.sources.universe_file import instruments_beside, read_universe
from breadthflow_pipelines.sources.web import Web
from breadthflow_pipelines.spelling import meant

ENTRY_POINTS = "breadthflow.sources"
Maker = Callable[[Settings, ExchangeCalendar], Source]


def source_names() -> tuple[str, ...]:
    """Every name that ``BREADTHFLOW_SOURCE`` may have here: ours, then those of installed packages."""
    brought = {entry.name for entry in entry_points(group=ENTRY_POINTS)}
    return (*_MAKERS, *sorted(brought - _MAKERS.keys()))


def configured_source(settings: Settings, calendar: ExchangeCalendar) -> Source:
    """The source that ``BREADTHFLOW_SOURCE`` names, with its settings.

    Raises:
        RequestError: the name is unknown or stands for two things, a setting that the source needs is missing, or the
            package that brings it fails.
    """
    brought = [entry for entry in entry_points(group=ENTRY_POINTS) if entry.name == settings.source]
    if len(brought) + (settings.source in _MAKERS) > 1:
        raise RequestError(
            f"BREADTHFLOW_SOURCE={settings.source} stands for more than one source: "
            f"{', '.join(map(_origin, brought))}; remove all packages but one. Our own names cannot be taken."
        )
    if brought:
        return _brought(brought[0], settings, calendar)
    if settings.source not in _MAKERS:
        raise RequestError(f"BREADTHFLOW_SOURCE={settings.source} is unknown; there are: {', '.join(source_names())}.")
    return _MAKERS[settings.source](settings, calendar)


def throttle(settings: Settings) -> Throttle:
    """The throttle for requests to a vendor."""
    return Throttle(settings.request_rate, settings.request_budget)


def workspace(settings: Settings, name: str) -> Path:
    """The directory in which a source may keep fetched files."""
    return settings.home / "sources" / name


def published_directory(settings: Settings, where: Path | str, exchange: str) -> Path:
    """The directory with an exchange's published counts: ``where`` itself, or a local copy of the files at an address.

    Raises:
        RequestError: the address has no such series.
        SourceError: it cannot be reached.
    """
    if isinstance(where, Path):
        return where
    return fetch_published_counts(where, exchange, Web(throttle(settings)), workspace(settings, "exchange_breadth"))


def _brought(entry: EntryPoint, settings: Settings, calendar: ExchangeCalendar) -> Source:
    try:
        source = entry.load()(settings, calendar)
    except BreadthFlowError:
        raise
    except Exception as error:  # somebody else's code
        reason = f"{type(error).__name__}: {error}"
        raise RequestError(f"The source {entry.name} of {_origin(entry)} fails: {reason}.") from error
    missing = [part for part in _PARTS if not hasattr(source, part)]
    if missing:
        raise RequestError(f"The source {entry.name} of {_origin(entry)} has no {', '.join(missing)}.")
    return source  # type: ignore[no-any-return]


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _demo(settings: Settings, calendar: ExchangeCalendar) -> Source:
    return DemoMarket(calendar, seed=settings.demo_seed)


def file_options(settings: Settings, calendar: ExchangeCalendar) -> Options:
    """How files of bars are to be read."""
    return Options(settings.source_columns, settings.source_symbol, settings.markets, zone=calendar.timezone)


def _files(settings: Settings, calendar: ExchangeCalendar) -> Source:
    if settings.source_path is None:
        raise RequestError("BREADTHFLOW_SOURCE=files needs BREADTHFLOW_SOURCE_PATH: a file or a directory of bars.")
    if not isinstance(settings.source_path, Path):
        raise RequestError(
            "BREADTHFLOW_SOURCE=files reads a file or a directory; BREADTHFLOW_SOURCE_PATH is an address. "
            "Download it first."
        )
    ignored = [settings.universe_file] if settings.universe_file else []
    last = calendar.last_closed()
    return Files(
        settings.source_path, file_options(settings, calendar), _instruments(settings), ignored, last, calendar
    )


def _yahoo(settings: Settings, calendar: ExchangeCalendar) -> Source:
    if isinstance(settings.source_path, Path):
        raise RequestError(
            f"BREADTHFLOW_SOURCE=yahoo reads no files. To read {shown(settings.source_path)}, set "
            "BREADTHFLOW_SOURCE=files; to ask Yahoo, leave BREADTHFLOW_SOURCE_PATH out and name symbols, as in "
            "BREADTHFLOW_SYMBOLS=AAPL,SPY."
        )
    symbols = _needed_symbols(settings)
    if not symbols:
        raise RequestError(
            "BREADTHFLOW_SOURCE=yahoo needs symbols: set BREADTHFLOW_UNIVERSE_FILE or BREADTHFLOW_SYMBOLS."
        )
    from breadthflow_pipelines.sources.yahoo import Yahoo  # takes a second to import, which others need not wait for

    directory = workspace(settings, "yahoo")
    return Yahoo(
        symbols,
        calendar,
        Journal(directory / f"journal-{_store(settings)}.jsonl"),
        throttle(settings),
        directory / "cache",
        instruments=_instruments(settings),
        members_from=None if settings.universe_file else settings.start_date,
        gateway=settings.source_path,
    )


def _stooq(settings: Settings, calendar: ExchangeCalendar) -> Source:
    if settings.source_path is None:
        raise RequestError(
            "BREADTHFLOW_SOURCE=stooq needs BREADTHFLOW_SOURCE_PATH: its archive (.zip), a path or an address."
        )
    from breadthflow_pipelines.sources.stooq import Stooq

    return Stooq(
        settings.source_path,
        settings.markets,
        Web(throttle(settings)),
        workspace(settings, "stooq"),
        _instruments(settings),
        calendar,
    )


_MAKERS: Mapping[str, Maker] = {"demo": _demo, "files": _files, "stooq": _stooq, "yahoo": _yahoo}
_PARTS = ("name", "synthetic", "describe", "securities", "members", "bars")


def _instruments(settings: Settings) -> Path | None:
    return instruments_beside(settings.universe_file) if settings.universe_file else None


def _needed_symbols(settings: Settings) -> dict[str, tuple[dt.date | None, dt.date | None]]:
    """Each symbol of the universe file with its first day and its first day out, and the others without limits."""
    needed: dict[str, tuple[dt.date | None, dt.date | None]] = {}
    if settings.universe_file is not None:
        for _, symbol, first, out in read_universe(settings.universe_file).iter_rows():
            before = needed.get(symbol, (first, out))
            last = None if out is None or before[1] is None else max(out, before[1])
            needed[symbol] = (min(first, before[0] or first), last)
    always = (*settings.symbols, *(symbol.upper() for symbol in settings.index_shares.values()))
    for symbol in always:
        known = meant(symbol, needed)  # a share that the universe spells otherwise is asked for once
        needed |= dict.fromkeys(known if len(known) == 1 else [symbol], (None, None))
    return needed


def _store(settings: Settings) -> str:
    """A name for the store that tells it from others and says nothing of its address."""
    if settings.database_url is None:
        return "embedded"
    return hashlib.sha256(settings.database_url.get_secret_value().encode()).hexdigest()[:12]
