"""Secrets from files: read where a setting is one, refused without being shown where they are of no use."""

from pathlib import Path

import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.secret_files import is_secret
from breadthflow_pipelines.settings import Settings, get_settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("s3cr&t/%\n")
    return file


def address() -> str:
    url = get_settings().database_url
    assert url is not None
    return url.get_secret_value()


def test_a_password_from_a_file_becomes_part_of_the_addresses_that_have_none(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREADTHFLOW_DATABASE_PASSWORD_FILE", str(file))
    monkeypatch.setenv("BREADTHFLOW_DATABASE_URL", "postgresql://me@db.example:5432/market?sslmode=require")
    monkeypatch.setenv("BREADTHFLOW_DAGSTER_DATABASE_URL", "postgresql://me:own@db.example/dagster")
    assert address() == "postgresql://me:s3cr%26t%2F%25@db.example:5432/market?sslmode=require"
    dagster = get_settings().dagster_database_url
    assert dagster is not None
    assert dagster.get_secret_value() == "postgresql://me:own@db.example/dagster"
    assert {"s3cr&t/%", address()} <= set(get_settings().secrets)  # neither is ever shown


def test_every_secret_has_a_file_and_nothing_else_has(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("postgresql://me:own@db.example/market")
    monkeypatch.setenv("BREADTHFLOW_DATABASE_URL_FILE", str(file))
    monkeypatch.setenv("BREADTHFLOW_SOURCE_FILE", str(file))
    assert address() == "postgresql://me:own@db.example/market"
    assert get_settings().source == "demo"


def test_the_name_of_a_file_may_stand_in_dotenv(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("json://hooks.example/token")
    monkeypatch.chdir(file.parent)
    (file.parent / ".env").write_text(f"BREADTHFLOW_ALERT_URLS_FILE={file}\n")
    assert get_settings().alert_targets == ("json://hooks.example/token",)


def test_other_processes_are_given_the_value_and_not_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREADTHFLOW_DATABASE_PASSWORD_FILE", str(file))
    given = get_settings().environment()
    assert given["BREADTHFLOW_DATABASE_PASSWORD"] == file.read_text().strip()


def test_a_secret_that_is_there_twice_or_not_at_all_is_told_without_being_shown(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREADTHFLOW_DATABASE_PASSWORD_FILE", str(file))
    monkeypatch.setenv("BREADTHFLOW_DATABASE_PASSWORD", "another")
    with pytest.raises(RequestError, match="are both set; keep one") as twice:
        get_settings()
    assert "another" not in str(twice.value)
    monkeypatch.delenv("BREADTHFLOW_DATABASE_PASSWORD")
    file.unlink()
    with pytest.raises(RequestError, match=f"BREADTHFLOW_DATABASE_PASSWORD_FILE={file} cannot be read: No such file"):
        get_settings()


@pytest.mark.parametrize("content", ["", "\n", " \t\r\n\n"])
@pytest.mark.parametrize("name", [name for name, field in Settings.model_fields.items() if is_secret(field)])
def test_a_file_without_a_secret_is_refused_and_is_not_as_none(
    name: str, content: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty address of the database would be the embedded store, an empty password none, empty alerts silence."""
    file.write_text(content)
    monkeypatch.setenv(f"BREADTHFLOW_{name.upper()}_FILE", str(file))
    with pytest.raises(RequestError) as refusal:
        get_settings()
    assert str(refusal.value).startswith(f"BREADTHFLOW_{name.upper()}_FILE={file} is empty: ")
    assert "\n" not in str(refusal.value)


def test_an_empty_name_of_a_file_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREADTHFLOW_DATABASE_URL_FILE", "")  # as Compose gives variables that are not set
    assert get_settings().database_url is None
