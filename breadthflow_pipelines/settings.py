"""Every setting, its default and its environment variable. Reads the environment once; opens nothing."""

import datetime as dt
import os
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, SecretStr, StringConstraints, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.locations import location, shown
from breadthflow_pipelines.secret_files import SecretFiles
from breadthflow_pipelines.setting_texts import by_exchange, check_port, pairs, parts, targets, written
from breadthflow_pipelines.setting_words import PREFIX, refusal, unknown


def _default_home() -> Path:
    # PostgreSQL refuses to run as root, so root's store must lie where another user may reach it.
    if os.geteuid() == 0:
        return Path("/var/lib/breadthflow")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "breadthflow"


DOTENV = ".env"  # in the working directory
_PLACES = ("/", "./", "../", "~", "file:", "http:", "https:")  # how a path or an address begins
CENTURY = 36_500  # days; what stays longer stays always, and a date that long ago is in range everywhere


_Origin = Annotated[str, StringConstraints(pattern=r"^https?://[\w.-]+(:\d{1,5})?$")]


class Settings(BaseSettings):
    """What a user can choose. Each field is read from ``BREADTHFLOW_<NAME>`` or ``.env``; a secret also from a file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=DOTENV, env_ignore_empty=True, extra="ignore", frozen=True
    )

    home: Path = Field(
        default_factory=_default_home,
        description="where the embedded store, Dagster's files and the pages of universes live",
    )
    database_password: SecretStr | None = Field(
        default=None, description="the password of the database addresses below, where they have none"
    )
    database_url: SecretStr | None = Field(
        default=None, description="a PostgreSQL 15+ to use instead of the embedded one: postgresql://user@host/database"
    )
    dagster_database_url: SecretStr | None = Field(
        default=None, description="Dagster's own database; by default <database>_dagster on the same server"
    )
    database_ca: Path | None = Field(
        default=None,
        description="the certificate of the authority that signed those of both databases: connections are encrypted",
    )
    reader_sees_bars: bool = Field(
        default=True, description="whether the database role breadthflow_reader may read what vendors delivered"
    )
    source: str = Field(
        default="demo",
        description="where bars come from: demo (synthetic), files, stooq, yahoo, or one of an installed package",
    )
    source_path: Path | str | None = Field(
        default=None, description="the file, directory or http(s) address that the source reads"
    )
    source_columns: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict, description="column mapping for the files source: session=Day,close=Last,..."
    )
    source_symbol: str | None = Field(
        default=None, description="where files say their symbol: filename, or the end of a path: {symbol}_data.csv"
    )
    universe_file: Path | None = Field(
        default=None, description="point-in-time members: universe,symbol,valid_from,valid_to"
    )
    symbols: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="symbols to ask a vendor for beside those of the universe file: SPY,QQQ"
    )
    markets: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("us",), description="markets to read from an archive of many: us,uk"
    )
    request_rate: float = Field(default=2, ge=0.001, le=50, description="requests per second to a vendor, at most")
    request_budget: int = Field(default=5000, ge=1, description="requests to a vendor in one run, at most")
    start: str = Field(default="2016-01", description="first month of history, YYYY-MM")
    calendar: str = Field(
        default="XNYS", description="the exchange whose sessions count, as exchange_calendars names it"
    )
    calendar_changes: Path | None = Field(
        default=None, description="days that its calendar has wrong: a CSV file with date,change,reason; closed or open"
    )
    coverage_gate: float = Field(
        default=0.5, ge=0, le=1, description="smallest priced/members on which breadth may be built"
    )
    index_symbols: Annotated[dict[str, str | Path], NoDecode] = Field(
        default_factory=dict,
        description="a universe's index, a symbol with bars or a file of closes: sp500=SPY,nasdaq100=/data/ndx.csv",
    )
    risk_free: Path | None = Field(
        default=None, description="what cash earns in backtests: a CSV file with session,rate in per cent a year"
    )
    exchange_breadth: SecretStr | None = Field(
        default=None,
        description="where exchanges' published counts are read from: NYSE=/data/nyse,NASDAQ=https://host/NASDAQ_",
    )
    published_beside: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict,
        description="by universe of members, the exchange that publishes counts of the same issues: nyse_issues=NYSE",
    )
    demo_seed: int = Field(default=1969, ge=0, description="seed of the synthetic market")
    drop_folder: Path | None = Field(
        default=None, description="where new files of bars arrive; by default the directory that the files source reads"
    )
    late_after_hours: float = Field(
        default=2, ge=0, le=72, description="hours after the evening's run at which a missing session is late"
    )
    alert_urls: SecretStr | None = Field(
        default=None, description="where alerts go: addresses as Apprise knows them, separated by commas"
    )
    cluster_ca: Path | None = Field(
        default=None, description="the certificate of the authority that signed those of a cluster reached by tls://"
    )
    cluster_cert: Path | None = Field(default=None, description="the certificate that runs and workers present to it")
    cluster_key: Path | None = Field(default=None, description="the private key of that certificate")
    cluster: str | None = Field(
        default=None,
        description="the Dask scheduler whose workers compute pieces of a run: tls://host:8786; by default none does",
    )
    user_header: str | None = Field(
        default=None,
        pattern="^[A-Za-z][A-Za-z0-9-]*$",
        description="the request header in which a proxy names the user of the UI; only where nobody gets past it",
    )
    concurrent_runs: int = Field(
        default=2, ge=1, le=100, description="runs of the queue that work at a time, of those that need not wait anyway"
    )
    webserver_url: str = Field(
        default="http://127.0.0.1:3000",
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        description="the address of Dagster's webserver, through which the API launches and watches runs",
    )
    api_rate: int = Field(default=600, ge=1, description="requests a minute to the API that a token allows, at most")
    api_origins: Annotated[tuple[_Origin, ...], NoDecode] = Field(
        default=(), description="other sites whose pages may ask the API from a browser: https://notebook.example"
    )
    api_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="addresses of proxies that say in X-Forwarded-For who asks the API: 10.0.0.2"
    )
    keep_audit_days: int | None = Field(
        default=None, ge=90, le=CENTURY, description="days that the audit is kept; unset: always"
    )
    keep_revisions_days: int | None = Field(
        default=None, ge=30, le=CENTURY, description="days that replaced values stay, of bars too; unset: always"
    )
    keep_rejected_days: int | None = Field(
        default=None, ge=30, le=CENTURY, description="days that broken rows stay that the source lacks; unset: always"
    )
    keep_runs_days: int | None = Field(
        default=None, ge=30, le=CENTURY, description="days that runs with nothing current are kept; unset: always"
    )
    keep_results_days: int = Field(
        default=180, ge=14, le=CENTURY, description="days that materializations and verdicts stay once replaced"
    )
    keep_steps_days: int = Field(default=14, ge=1, le=CENTURY, description="days that events and output of steps stay")
    keep_events_days: int = Field(default=7, ge=1, le=CENTURY, description="days that events of the API are kept")
    backup_folder: Path | None = Field(
        default=None, description="where breadthflow db backup puts its backups; on another disk than the store"
    )
    backups_kept: int = Field(
        default=7, ge=1, description="how many backups the nightly one leaves in that folder, itself included"
    )
    backup_key: Path | None = Field(
        default=None, description="the file of the age key that backups are encrypted for; by default they are not"
    )
    log_level: str | None = Field(
        default=None,
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="least level logged; by default WARNING, and INFO of what Dagster's programs say",
    )
    log_format: str = Field(
        default="auto",
        pattern="^(auto|json|text)$",
        description="how logs are written: json, text, or auto for text in a terminal and json elsewhere",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - named by their variable, not by ours
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Where values come from, the first one first: arguments, the environment, ``.env``, files of secrets."""
        sources = [each for each in (dotenv_settings, env_settings) if isinstance(each, EnvSettingsSource)]
        variables = {name: value for source in sources for name, value in source.env_vars.items()}
        return init_settings, env_settings, dotenv_settings, SecretFiles(settings_cls, variables)

    @field_validator("database_url", "dagster_database_url")
    @classmethod
    def _with_password(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        password = info.data.get("database_password")
        if value is None or password is None:
            return value
        address = value.get_secret_value()
        secret = quote(password.get_secret_value(), safe="")
        return SecretStr(re.sub(r"^(\w+(?:\+\w+)?://[^@/:]+)@", lambda match: f"{match[1]}:{secret}@", address))

    @field_validator(
        "home",
        "universe_file",
        "drop_folder",
        "calendar_changes",
        "risk_free",
        "database_ca",
        "cluster_ca",
        "cluster_cert",
        "cluster_key",
        "backup_folder",
        "backup_key",
    )
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return Path(location(value)) if value is not None else None

    @field_validator("database_ca")
    @classmethod
    def _of_a_server(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and not (info.data.get("database_url") or info.data.get("dagster_database_url")):
            raise ValueError("the embedded database has no certificate; set BREADTHFLOW_DATABASE_URL or unset this")
        return value

    @field_validator("source_path", mode="before")
    @classmethod
    def _location(cls, value: Path | str | None) -> Path | str | None:
        return location(value) if value is not None else None

    @field_validator("symbols", "markets", "api_origins", "api_proxies", mode="before")
    @classmethod
    def _names(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        written = {"symbols": str.upper, "markets": str.lower}.get(str(info.field_name), str)
        return tuple(written(name.strip()) for name in value.split(",") if name.strip())

    @field_validator("source_columns", "index_symbols", "published_beside", mode="before")
    @classmethod
    def _pairs(cls, value: object, info: ValidationInfo) -> object:
        return pairs(value, str(info.field_name)) if isinstance(value, str) else value

    @field_validator("index_symbols")
    @classmethod
    def _index_files(cls, value: dict[str, str | Path]) -> dict[str, str | Path]:
        """Whatever looks like a path is one: symbols such as BRK/B and .SPX do not."""
        found = dict(value)
        for universe, index in value.items():
            if str(index).startswith(_PLACES) or str(index).lower().endswith(".csv"):
                found[universe] = location(index)
                if isinstance(found[universe], str):
                    raise ValueError(f"{shown(str(index))} is an address; download the file and name its path")
        return found

    @field_validator("source_symbol")
    @classmethod
    def _pattern(cls, value: str | None) -> str | None:
        if value is not None and value != "filename" and value.count("{symbol}") != 1:
            raise ValueError("write it as filename, or as the end of a path with {symbol} in it: {symbol}_data.csv")
        return value

    @field_validator("exchange_breadth")
    @classmethod
    def _publications(cls, value: SecretStr | None) -> SecretStr | None:
        named = by_exchange(value)
        if not all(named) or not all(named.values()):
            raise ValueError(
                "write it as exchange=place,exchange=place, for example NYSE=/data/nyse,NASDAQ=https://host/NASDAQ_"
            )
        for where in named.values():
            location(where)
        if value is not None and len(named) < len(parts(value)):
            raise ValueError("it names an exchange twice; keep one place for each")
        return value

    @field_validator("start")
    @classmethod
    def _month(cls, value: str) -> str:
        if not re.fullmatch(r"(19|20)\d\d-(0[1-9]|1[0-2])", value):
            raise ValueError("write it as YYYY-MM, for example 2006-01")
        return value

    @field_validator("webserver_url")
    @classmethod
    def _webserver(cls, value: str) -> str:
        check_port(value)
        return value

    @field_validator("cluster")
    @classmethod
    def _scheduler(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if not re.fullmatch(r"(tcp|tls)://[^\s/:@]+:\d{1,5}", value):
            raise ValueError("write it as tls://host:port, or tcp://host:port on a network of your own")
        check_port(value)
        given = [name for name in ("cluster_ca", "cluster_cert", "cluster_key") if info.data.get(name) is not None]
        if value.startswith("tls") and len(given) < 3:
            raise ValueError("tls:// needs BREADTHFLOW_CLUSTER_CA, _CERT and _KEY, the paths of PEM files")
        if value.startswith("tcp") and given:
            raise ValueError(
                "tcp:// uses no certificates; write tls:// or unset BREADTHFLOW_CLUSTER_CA, _CERT and _KEY"
            )
        return value

    @field_validator("alert_urls")
    @classmethod
    def _addresses(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not all(re.match(r"[A-Za-z][A-Za-z0-9]*://.", part) for part in targets(value)):
            raise ValueError("write it as scheme://..., scheme://...; Apprise's own pages list the schemes")
        return value

    @property
    def start_date(self) -> dt.date:
        """The first day of the first month of history."""
        return dt.date.fromisoformat(f"{self.start}-01")

    @property
    def alert_targets(self) -> tuple[str, ...]:
        """The addresses that alerts go to, each one a secret; a comma inside an address is part of it."""
        return targets(self.alert_urls)

    def environment(self) -> dict[str, str]:
        """The chosen settings as variables: they give another process the same settings in any working directory."""
        chosen = {"home", *self.model_fields_set}
        return {f"{PREFIX}{name.upper()}": written(getattr(self, name)) for name in sorted(chosen)}

    @property
    def index_files(self) -> dict[str, Path]:
        """By universe, the file with the closes of its index."""
        return {universe: index for universe, index in self.index_symbols.items() if isinstance(index, Path)}

    @property
    def index_shares(self) -> dict[str, str]:
        """By universe, the symbol whose bars are its index."""
        return {universe: index for universe, index in self.index_symbols.items() if isinstance(index, str)}

    @property
    def publications(self) -> dict[str, Path | str]:
        """By exchange, the directory or the address that its published counts are read from."""
        return {exchange: location(where) for exchange, where in by_exchange(self.exchange_breadth).items()}

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown: the value of each setting that is declared a secret, and each address in it."""
        # Of locations of published counts, only addresses with an account or a query are secret; paths are in messages.
        values = [getattr(self, name) for name in type(self).model_fields if name != "exchange_breadth"]
        hidden = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
        addresses = [where for where in self.publications.values() if isinstance(where, str) and shown(where) != where]
        return (*hidden, *self.alert_targets, *addresses)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process.

    Raises:
        RequestError: a variable holds a value that cannot be used; names it and says what is expected.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise RequestError(refusal(error.errors()[0], Settings.model_fields)) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise RequestError(f"{Path(DOTENV).absolute()} cannot be read: {why}.") from None


def unknown_settings() -> dict[str, str | None]:
    """Variables of the environment and of ``.env`` that begin like ours and name no setting: misspelled, or another
    version's. Each with the known one that is most like it, or None. Never values; one without a value is none.
    """
    given = dict(os.environ)
    with suppress(OSError, UnicodeDecodeError):  # get_settings() says so
        given |= {name: value or "" for name, value in DotEnvSettingsSource(Settings).env_vars.items()}
    return unknown([name for name, value in given.items() if value], Settings.model_fields)
