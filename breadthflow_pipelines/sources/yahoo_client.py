"""How Yahoo is talked to through yfinance: the HTTP session, what its answers mean, symbols and frames in our form.

Which symbols are asked for, how often, and what follows from an answer is in yahoo.py.
"""

import json
import logging
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import polars as pl
import yfinance
from curl_cffi import requests

from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.model.vocabulary import PRICES
from breadthflow_pipelines.sources.protocol import BAR_SCHEMA
from breadthflow_pipelines.sources.throttle import Throttle, retry_after
from breadthflow_pipelines.spelling import spelled

HOST = "https://query2.finance.yahoo.com"
CHART = "/v8/finance/chart/"
CHECK_TIMEOUT = 5.0  # seconds, when only checking whether it answers
SHARE_CLASSES = (".A", ".B", ".C")  # share classes; any other suffix after a dot is that of an exchange
COLUMNS = {  # columns that history() must give, and our names for them
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Volume": "volume",
    "Adj Close": "close_adjusted",
}


class UnknownSymbolError(Exception):
    """Yahoo does not know the symbol."""


class NoBarsError(Exception):
    """Yahoo knows the symbol and has no bars of it in the range."""


class ChangedAnswerError(Exception):
    """The form of the answer has changed; asking again gives the same."""


class NoAnswerError(Exception):
    """No usable answer this time. after: seconds that Yahoo asks to wait, where it does."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class YahooSession(requests.Session[requests.Response]):
    """The HTTP session of yfinance: it looks like a browser, as Yahoo requires, and keeps to the throttle.

    Answers about bars are judged here, where status and headers are known. yfinance itself cannot reliably distinguish
    an unknown symbol, a server error and a page of HTML, and repeats every refused request at once.
    """

    def __init__(self, throttle: Throttle, gateway: str | None) -> None:
        super().__init__(impersonate="chrome")
        self._throttle = throttle
        self._gateway = gateway.rstrip("/") if gateway else None
        self.where = f"{shown(self._gateway)} (for Yahoo)" if self._gateway else "Yahoo"

    def request(self, method: Any, url: str, *args: Any, **options: Any) -> requests.Response:
        """Send one request of yfinance's as soon as the throttle allows."""
        self._throttle.ask()
        answer = super().request(method, self._routed(url), *args, **options)
        if CHART in url:
            _judge(answer, history="period1" in (options.get("params") or {}))
        return answer

    def check(self, symbol: str) -> None:
        """Ask for the last bar of a symbol, to see whether Yahoo answers."""
        try:
            self.request(
                "GET", f"{HOST}{CHART}{symbol}", params={"range": "1d", "interval": "1d"}, timeout=CHECK_TIMEOUT
            )
        except (UnknownSymbolError, NoBarsError, ChangedAnswerError):
            return  # that is an answer, too

    def _routed(self, url: str) -> str:
        return url if self._gateway is None else self._gateway + (urlsplit(url).path or "/")


def _judge(answer: requests.Response, *, history: bool) -> None:
    """Raise what an answer about bars means, unless it holds bars or yfinance should renew its cookies (401, 403).

    history: bars of a range were asked for; otherwise only what is known of the symbol, such as its time zone.
    """
    status = answer.status_code
    if status == 429:
        raise NoAnswerError("HTTP 429, too many requests", retry_after(answer.headers.get("Retry-After")))
    if status >= 500:
        raise NoAnswerError(f"HTTP {status}", retry_after(answer.headers.get("Retry-After")))
    if status in (401, 403):
        return
    try:
        chart = json.loads(answer.content)["chart"]
        error, results = chart["error"], chart["result"]
    except (ValueError, KeyError, TypeError):
        raise NoAnswerError(f"no JSON of a chart, but {_start(answer)}") from None
    if error:
        _refuse(str(error.get("code")), str(error.get("description")))
    if history:
        _require_bars(results)


def _require_bars(results: Any) -> None:
    if not results or not results[0].get("timestamp"):
        raise NoBarsError
    held = set(results[0].get("indicators", {}))
    if "adjclose" not in held:  # yfinance would silently use the plain close instead
        raise ChangedAnswerError("the answer has no adjusted close any more")


def _refuse(code: str, description: str) -> None:
    if code == "Not Found":
        raise UnknownSymbolError
    if "doesn't exist for" in description:  # "Data doesn't exist for startDate = ..., endDate = ..."
        raise NoBarsError
    raise NoAnswerError(f"{code}: {description}")


def _start(answer: requests.Response) -> str:
    text = " ".join(answer.content[:60].decode("utf-8", "replace").split())
    return f"{text!r}" if text else "nothing"


def configure_yfinance(cache: Path) -> None:
    """Configure yfinance for the whole process, once: its cache stays where it was first used."""
    if _prepared:
        return
    _prepared.append(cache)
    cache.mkdir(parents=True, exist_ok=True)
    yfinance.set_tz_cache_location(str(cache))
    yfinance.config.debug.hide_exceptions = False
    logging.getLogger("yfinance").setLevel(logging.CRITICAL)  # our outcomes report what it would log
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="yfinance")  # pandas warns about its code


_prepared: list[Path] = []


def bars_of_history(symbol: str, frame: pd.DataFrame) -> pl.DataFrame:
    """What history() returned, in BAR_SCHEMA; days in the exchange's own time zone.

    Raises:
        ChangedAnswerError: it is not a frame with the columns of COLUMNS and days as its index.
    """
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing or not isinstance(frame.index, pd.DatetimeIndex):
        raise ChangedAnswerError(
            f"yfinance {yfinance.__version__} gives no {', '.join(missing) or 'days'}; it has "
            f"{', '.join(map(str, frame.columns))}"
        )
    numbers = {ours: pl.Series(frame[theirs].to_numpy(dtype="float64")) for theirs, ours in COLUMNS.items()}
    days = pl.Series("session", list(frame.index.date), dtype=pl.Date)
    return (
        pl.DataFrame({"session": days, **numbers})
        .with_columns(pl.lit(symbol).alias("symbol"), pl.col(*numbers).fill_nan(None))
        .select(BAR_SCHEMA.names())
        .filter(pl.any_horizontal(pl.col(*PRICES).is_not_null()) | (pl.col("volume") > 0))
    )


def yahoo_symbol(symbol: str) -> str:
    """Yahoo's spelling: a dash before a share class, a dot before an exchange (BRK-B, BT-A.L, 7203.T)."""
    if symbol.endswith(SHARE_CLASSES):
        return spelled(symbol)
    stem, dot, exchange = symbol.rpartition(".")
    return f"{spelled(stem)}.{exchange}" if dot else spelled(symbol)


def in_words(error: BaseException) -> str:
    """What went wrong, in one line, without an address."""
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.RequestException):
        return f"the connection broke ({type(error).__name__})"
    return str(error).split("\n", 1)[0]
