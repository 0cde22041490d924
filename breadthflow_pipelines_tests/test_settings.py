"""Settings: where they are read from, what is refused and how that is said."""

import datetime as dt
import re
from pathlib import Path

import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.setting_words import ELSEWHERE
from breadthflow_pipelines.settings import CENTURY, Settings, get_settings, unknown_settings


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
        ("COVERAGE_GATE", "1.5", "a number from 0 to 1"),
        ("COVERAGE_GATE", "nan", "a number from 0 to 1"),  # compares false with everything
        ("COVERAGE_GATE", "half", "a number from 0 to 1"),
        ("DEMO_SEED", "-1", "a whole number, 0 or more"),
        ("LATE_AFTER_HOURS", "-1", "a number from 0 to 72"),
        ("ALERT_URLS", "hooks.example/token", "scheme://"),
        ("ALERT_URLS", "token, json://hooks.example", "scheme://"),
        ("LOG_LEVEL", "LOUD", "write DEBUG, INFO, WARNING or ERROR"),
        ("CLUSTER", "localhost:8786", "tls://host:port"),
        ("CLUSTER", "tcp://localhost", "tls://host:port"),  # Dask would take a port of its own choice
        ("CLUSTER", "tcp://me:secret@localhost:8786", "tls://host:port"),
        ("CLUSTER", "tls://localhost:8786", "_CERT and _KEY"),
        ("EXCHANGE_BREADTH", "/data/nyse", "NYSE=/data/nyse"),
        ("EXCHANGE_BREADTH", "NYSE=", "NYSE=/data/nyse"),
        ("EXCHANGE_BREADTH", "NYSE=ftp://host/NYSE_", "http, https or file"),
        ("KEEP_AUDIT_DAYS", "89", "a whole number from 90 to 36500"),
        ("KEEP_STEPS_DAYS", "0", "a whole number from 1 to 36500"),
        ("KEEP_STEPS_DAYS", "800000", "a whole number from 1 to 36500"),  # before the year 1
        ("KEEP_RESULTS_DAYS", "3000000", "a whole number from 14 to 36500"),
        ("KEEP_RUNS_DAYS", "3000000", "a whole number from 30 to 36500"),
        ("KEEP_REVISIONS_DAYS", "3000000", "a whole number from 30 to 36500"),  # before PostgreSQL's first day
        ("KEEP_REJECTED_DAYS", "3000000", "a whole number from 30 to 36500"),
        ("KEEP_EVENTS_DAYS", "99999999999", "a whole number from 1 to 36500"),  # no integer of PostgreSQL
        ("WEBSERVER_URL", "http://127.0.0.1:99999", "its port is no number from 1 to 65535"),  # another would be asked
        ("WEBSERVER_URL", "http://127.0.0.1:0", "its port is no number from 1 to 65535"),
        ("CLUSTER", "tcp://localhost:99999", "its port is no number from 1 to 65535"),
        ("CONCURRENT_RUNS", "0", "a whole number from 1 to 100"),
        ("USER_HEADER", "X-User: alice", "the name of a header"),
        ("WEBSERVER_URL", "localhost:3000", "an http or https address"),
        ("WEBSERVER_URL", "http://me:secret@host", "without account"),
        ("API_RATE", "0", "a whole number, 1 or more"),
        ("API_ORIGINS", "notebook.example", "scheme://host"),
        ("API_ORIGINS", "https://a.example, https://b.example/path", "scheme://host.*https://b.example/path"),
        ("DATABASE_CA", "/etc/ca.pem", "set BREADTHFLOW_DATABASE_URL"),
        ("SOURCE_COLUMNS", "session", "ours=theirs"),
        ("INDEX_SYMBOLS", "sp500", "universe=symbol"),
        ("PUBLISHED_BESIDE", "NYSE", "universe=exchange"),
        ("INDEX_SYMBOLS", "sp500=https://host/gspc.csv", "download the file"),
        ("INDEX_SYMBOLS", "sp500=SPY, sp500=QQQ", "names sp500 twice"),
        ("SOURCE_PATH", "ftp://host/bars.zip", "http, https or file"),
        ("SOURCE_PATH", "https:///bars.zip", "names no host"),
        ("REQUEST_RATE", "0", "a number from 0.001 to 50"),
        ("REQUEST_RATE", "1e-300", "a number from 0.001 to 50"),  # nobody can wait as long as that between two
        ("REQUEST_BUDGET", "0", "a whole number, 1 or more"),
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


def test_days_that_are_kept_can_be_counted_back_from_today_by_python_and_by_postgresql() -> None:
    """Each has an end, and none up to it leads to a date that there is not."""
    days = [field for name, field in Settings.model_fields.items() if re.fullmatch(r"keep_\w+_days", name)]
    assert [rule.le for field in days for rule in field.metadata if hasattr(rule, "le")] == [CENTURY] * 7
    assert len(days) == 7
    assert (dt.datetime.now(dt.UTC) - dt.timedelta(days=CENTURY)).year > 1900


PLANTED = "planted"  # a password, or a key
WRONG = (
    *("half", "nan", "1e999", "-5", "5.5", "maybe", "=", "a=,b", "[", "{}", "~nobody-of-that-name/a", "  "),
    *(
        f"ftp://me:{PLANTED}@host/x?key={PLANTED}",
        f"tcp://me:{PLANTED}@host:8786",
        f"me:{PLANTED}/{PLANTED}@host",
        "9" * 5000,
    ),
)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_refusal_is_in_our_own_words_and_shows_what_was_given_but_no_secret(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Of any setting: whatever type it has or will have, one wrong value or another is refused by it, or none is."""
    variable = f"BREADTHFLOW_{name.upper()}"
    refused = {}
    for value in WRONG:
        monkeypatch.setenv(variable, value)
        get_settings.cache_clear()
        try:
            get_settings()
        except RequestError as error:
            refused[value] = str(error)
    annotation = str(Settings.model_fields[name].annotation)
    for value, told in refused.items():
        assert told.startswith(f"{variable} cannot be used: ")
        assert not re.search(
            r"Input should|valid (integer|number|boolean|string)|pattern|pars(e|ing)|its description", told
        )
        assert PLANTED not in told
        assert len(told) < 400
        if "SecretStr" in annotation:
            assert "It is set to" not in told
        elif "@" not in value and len(value) < 60 and "=" not in value:
            assert value in told
    if (
        annotation.partition(" ")[0] in ("<class", "int")
        and "Path" not in annotation
        and name not in ("source", "calendar")
    ):
        assert "half" in refused


@pytest.mark.parametrize(
    "name", [name for name, field in Settings.model_fields.items() if "Path" in str(field.annotation)]
)
def test_an_empty_path_is_as_none_and_blanks_are_no_path(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    default = getattr(get_settings(), name)
    monkeypatch.setenv(f"BREADTHFLOW_{name.upper()}", "")
    get_settings.cache_clear()
    assert getattr(get_settings(), name) == default
    if name != "index_symbols":  # pairs, of which there is none
        monkeypatch.setenv(f"BREADTHFLOW_{name.upper()}", "  ")
        get_settings.cache_clear()
        with pytest.raises(RequestError, match=f"BREADTHFLOW_{name.upper()} cannot be used: it is blank"):
            get_settings()


def test_a_dotenv_that_is_no_text_is_refused_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes(b"BREADTHFLOW_START=\xe9\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match=re.escape(f"{tmp_path / '.env'} cannot be read: it is no text in UTF-8.")):
        get_settings()
    assert unknown_settings() == {}


def test_a_misspelled_name_is_found_with_the_known_one_that_is_most_like_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("BREADTHFLOW_UNIVERSES=u.csv\nOTHERS=1\n")
    monkeypatch.chdir(tmp_path)
    for name in ("BREADTHFLOW_SOURCES_PATH", "breadthflow_sorce", "BREADTHFLOW_SOURCE_FILE", "BREADTHFLOW_XQZ"):
        monkeypatch.setenv(name, "planted")
    monkeypatch.setenv("BREADTHFLOW_EMPTY", "")  # as Compose passes on what is not set
    assert unknown_settings() == {
        "BREADTHFLOW_SORCE": "BREADTHFLOW_SOURCE",
        "BREADTHFLOW_SOURCES_PATH": "BREADTHFLOW_SOURCE_PATH",
        "BREADTHFLOW_SOURCE_FILE": "BREADTHFLOW_SOURCE",  # of what is no secret there is no such file
        "BREADTHFLOW_UNIVERSES": "BREADTHFLOW_UNIVERSE_FILE",
        "BREADTHFLOW_XQZ": None,
    }


def test_every_name_that_something_reads_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of settings, and of everything else in the repository that looks for a variable of ours."""
    root = Path(__file__).resolve().parents[1]
    places = [root / name for name in ("breadthflow_pipelines", "docker", "docs", "benchmarks", ".github", "README.md")]
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*")) if file.is_file()]
    found = {
        name
        for file in files
        if file.suffix not in (".pyc", ".png")
        for name in re.findall(r"\bBREADTHFLOW_[A-Z_]*[A-Z]\b(?!_)", file.read_text(errors="ignore"))
    }
    assert {"BREADTHFLOW_UP", "BREADTHFLOW_ARCHIVE", "BREADTHFLOW_HOME", "BREADTHFLOW_ALERT_URLS_FILE"} <= found
    for name in found:
        monkeypatch.setenv(name, "x")
    assert {name: near for name, near in unknown_settings().items() if name not in NO_NAMES} == {}
    assert all((root / reader).is_file() and name in (root / reader).read_text() for name, reader in ELSEWHERE.items())


NO_NAMES = {"BREADTHFLOW_SOURCE_FILE"}  # what a page has as an example of what is none


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
