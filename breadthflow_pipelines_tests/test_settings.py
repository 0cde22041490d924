"""Settings: where they are read from, what is refused and how that is said."""

import datetime as dt
from pathlib import Path

import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.settings import Settings, get_settings


@pytest.mark.parametrize("value", ["filename", "{symbol}_data.csv", "{symbol}/prices.parquet"])
def test_the_place_of_a_symbol_is_a_pattern_or_the_file_s_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("BREADTHFLOW_SOURCE_SYMBOL", value)
    assert get_settings().source_symbol == value


@pytest.mark.parametrize("value", ["name", "*.csv", "{symbol}/{symbol}.csv", "{Symbol}.csv"])
def test_another_place_of_a_symbol_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("BREADTHFLOW_SOURCE_SYMBOL", value)
    with pytest.raises(RequestError, match="BREADTHFLOW_SOURCE_SYMBOL cannot be used: write it as filename"):
        get_settings()


def test_the_default_is_the_synthetic_market_in_an_embedded_store() -> None:
    settings = get_settings()
    assert (settings.source, settings.database_url, settings.calendar) == ("demo", None, "XNYS")
    assert settings.start_date == dt.date(2016, 1, 1)
    assert settings.home.is_absolute()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("START", "2006", "YYYY-MM"),  # a year is no month
        ("START", "2006-13", "YYYY-MM"),
        ("START", "2006-01-03", "YYYY-MM"),  # a day is too much
        ("COVERAGE_GATE", "1.5", "less than or equal to 1"),
        ("COVERAGE_GATE", "nan", "less than or equal to 1"),  # compares false with everything
        ("COVERAGE_GATE", "half", "number"),
        ("DEMO_SEED", "-1", "greater than or equal to 0"),
        ("LATE_AFTER_HOURS", "-1", "greater than or equal to 0"),
        ("ALERT_URLS", "hooks.example/token", "scheme://"),
        ("ALERT_URLS", "token, json://hooks.example", "scheme://"),
        ("LOG_LEVEL", "LOUD", "DEBUG"),
        ("CLUSTER", "localhost:8786", "tls://host:port"),
        ("CLUSTER", "tcp://localhost", "tls://host:port"),  # Dask would take a port of its own choice
        ("CLUSTER", "tcp://me:secret@localhost:8786", "tls://host:port"),
        ("CLUSTER", "tls://localhost:8786", "_CERT and _KEY"),
        ("EXCHANGE_BREADTH", "/data/nyse", "NYSE=/data/nyse"),
        ("EXCHANGE_BREADTH", "NYSE=", "NYSE=/data/nyse"),
        ("EXCHANGE_BREADTH", "NYSE=ftp://host/NYSE_", "http, https or file"),
        ("KEEP_AUDIT_DAYS", "89", "greater than or equal to 90"),
        ("KEEP_STEPS_DAYS", "0", "greater than or equal to 1"),
        ("USER_HEADER", "X-User: alice", "match pattern"),
        ("WEBSERVER_URL", "localhost:3000", "match pattern"),
        ("WEBSERVER_URL", "http://me:secret@host", "match pattern"),
        ("API_RATE", "0", "greater than or equal to 1"),
        ("API_ORIGINS", "notebook.example", "match pattern"),
        ("API_ORIGINS", "https://a.example, https://b.example/path", "match pattern"),
        ("DATABASE_CA", "/etc/ca.pem", "set BREADTHFLOW_DATABASE_URL"),
        ("SOURCE_COLUMNS", "session", "ours=theirs"),
        ("INDEX_SYMBOLS", "sp500", "universe=symbol"),
        ("PUBLISHED_BESIDE", "NYSE", "universe=exchange"),
        ("INDEX_SYMBOLS", "sp500=https://host/gspc.csv", "download the file"),
        ("SOURCE_PATH", "ftp://host/bars.zip", "http, https or file"),
        ("SOURCE_PATH", "https:///bars.zip", "names no host"),
        ("REQUEST_RATE", "0", "greater than 0"),
        ("REQUEST_BUDGET", "0", "greater than or equal to 1"),
        ("HOME", "~nobody-of-that-name/store", "home"),  # a home directory that cannot be found
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_the_variable_s_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(f"BREADTHFLOW_{name}", value)
    with pytest.raises(RequestError, match=rf"^BREADTHFLOW_{name} cannot be used: .*{reason}") as refusal:
        get_settings()
    assert "\n" not in str(refusal.value)


def test_a_refusal_in_dotenv_names_the_variable_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("BREADTHFLOW_START=soon\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match=r"^BREADTHFLOW_START cannot be used"):
        get_settings()


def test_dotenv_gives_what_the_environment_leaves_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text(
        "BREADTHFLOW_SOURCE=files\nBREADTHFLOW_START=2006-01\nBREADTHFLOW_CALENDAR=\nOTHERS_SETTING=1\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BREADTHFLOW_START", "2010-02")
    settings = get_settings()
    assert (settings.source, settings.start_date) == ("files", dt.date(2010, 2, 1))
    assert settings.calendar == "XNYS"  # an empty value is none


def test_the_environment_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = get_settings()
    monkeypatch.setenv("BREADTHFLOW_SOURCE", "files")
    assert get_settings() is before


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("session=Day,close=Last", {"session": "Day", "close": "Last"}),
        (" session = Trading Day , close=Last ,", {"session": "Trading Day", "close": "Last"}),  # as people type it
        ("close=a=b", {"close": "a=b"}),  # their name may hold an equals sign
    ],
)
def test_a_column_mapping_is_written_as_pairs(
    monkeypatch: pytest.MonkeyPatch, text: str, mapping: dict[str, str]
) -> None:
    monkeypatch.setenv("BREADTHFLOW_SOURCE_COLUMNS", text)
    assert get_settings().source_columns == mapping


def test_an_index_is_a_symbol_or_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("BREADTHFLOW_INDEX_SYMBOLS", "a=.SPX,b=BRK/B,c=~/x.txt,d=ndx.csv")
    settings = get_settings()
    assert settings.index_shares == {"a": ".SPX", "b": "BRK/B"}
    assert settings.index_files == {"c": Path("/home/somebody/x.txt"), "d": Path("ndx.csv").absolute()}


def test_paths_are_absolute_and_know_the_user_s_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("BREADTHFLOW_HOME", "~/store")
    monkeypatch.setenv("BREADTHFLOW_SOURCE_PATH", "bars.parquet")
    settings = get_settings()
    assert settings.home == Path("/home/somebody/store")
    assert settings.source_path == tmp_path / "bars.parquet"


def test_addresses_of_alerts_are_secrets_each_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "BREADTHFLOW_ALERT_URLS",
        " slack://a/b/c , mailto://u:hunter2@h.example?to=x@h.example,y@h.example\njson://h/p,",
    )
    monkeypatch.setenv("BREADTHFLOW_DATABASE_URL", "postgresql://u:hunter3@h/d")
    settings = get_settings()
    assert settings.alert_targets == (
        "slack://a/b/c",
        "mailto://u:hunter2@h.example?to=x@h.example,y@h.example",  # a comma inside an address is part of it
        "json://h/p",
    )
    assert {*settings.alert_targets, "postgresql://u:hunter3@h/d"} < set(settings.secrets)
    assert "hunter" not in f"{settings!r} {settings.model_dump_json()}"
    assert Settings(alert_urls=None).alert_targets == ()


def test_locations_of_published_counts_are_named_by_exchange_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "https://me:hunter2@host/a,b/NASDAQ_"  # a comma that stands before no name is part of the address
    monkeypatch.setenv("BREADTHFLOW_EXCHANGE_BREADTH", f" NYSE = ~/nyse, NASDAQ={address},AMEX=https://host/AMEX_ ")
    monkeypatch.setenv("HOME", "/home/somebody")
    settings = get_settings()
    assert settings.publications == {
        "NYSE": Path("/home/somebody/nyse"),
        "NASDAQ": address,
        "AMEX": "https://host/AMEX_",
    }
    assert address in settings.secrets
    assert not [secret for secret in settings.secrets if "AMEX" in secret]  # its words may stand anywhere
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert Settings().publications != {}
    assert Settings(exchange_breadth=None).publications == {}


def test_an_exchange_has_one_place_of_published_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREADTHFLOW_EXCHANGE_BREADTH", "NYSE=/data/nyse,NASDAQ=/data/nasdaq,NYSE=/nope")
    with pytest.raises(RequestError, match="it names an exchange twice; keep one place for each"):
        get_settings()


def test_addresses_that_may_hold_a_password_are_not_shown() -> None:
    address = "postgresql://user:hunter2@host/database"
    settings = Settings(database_url=address, dagster_database_url=address)
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == address


def test_a_source_may_lie_at_an_address_and_names_come_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREADTHFLOW_SOURCE_PATH", "https://host/d_us_txt.zip?key=1")
    monkeypatch.setenv("BREADTHFLOW_SYMBOLS", "aapl, brk-b,,SPY")
    monkeypatch.setenv("BREADTHFLOW_MARKETS", "US,uk")
    settings = get_settings()
    assert settings.source_path == "https://host/d_us_txt.zip?key=1"
    assert (settings.symbols, settings.markets) == (("AAPL", "BRK-B", "SPY"), ("us", "uk"))
    monkeypatch.setenv("BREADTHFLOW_SOURCE_PATH", "file:///data/d.zip")
    get_settings.cache_clear()
    assert get_settings().source_path == Path("/data/d.zip")


def test_settings_written_as_variables_mean_the_same_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text(
        "BREADTHFLOW_SOURCE=files\nBREADTHFLOW_SOURCE_PATH=bars.csv\nBREADTHFLOW_UNIVERSE_FILE=~/universe.csv\n"
        "BREADTHFLOW_SOURCE_COLUMNS=session=Day,close=Last\nBREADTHFLOW_SYMBOLS=SPY,QQQ\n"
        "BREADTHFLOW_DATABASE_URL=postgresql://me:secret@host/db\nBREADTHFLOW_COVERAGE_GATE=0.25\n"
        "BREADTHFLOW_ALERT_URLS=json://one.example/a,json://two.example/b,c\n"
    )
    monkeypatch.chdir(tmp_path)  # a relative path and a .env are seen from here only
    meant = get_settings()
    written = meant.environment()
    assert written["BREADTHFLOW_SOURCE_PATH"] == str(tmp_path / "bars.csv")
    assert written["BREADTHFLOW_DATABASE_URL"] == "postgresql://me:secret@host/db"
    assert "BREADTHFLOW_DEMO_SEED" not in written  # nobody chose one
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for name, value in written.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    assert get_settings() == meant


def test_a_cluster_reached_by_tls_needs_all_three_files_and_tcp_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREADTHFLOW_CLUSTER_CA", "/etc/ca.pem")
    monkeypatch.setenv("BREADTHFLOW_CLUSTER_CERT", "/etc/run.pem")
    monkeypatch.setenv("BREADTHFLOW_CLUSTER", "tls://scheduler:8786")
    with pytest.raises(RequestError, match="BREADTHFLOW_CLUSTER cannot be used: tls://"):
        get_settings()
    monkeypatch.setenv("BREADTHFLOW_CLUSTER_KEY", "/etc/run.key")
    assert get_settings().cluster == "tls://scheduler:8786"
    get_settings.cache_clear()
    monkeypatch.setenv("BREADTHFLOW_CLUSTER", "tcp://scheduler:8786")  # they would protect nothing
    with pytest.raises(RequestError, match="BREADTHFLOW_CLUSTER cannot be used: tcp://"):
        get_settings()
