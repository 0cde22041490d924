"""Secrets from files: read where a setting is one, refused without being shown where they are of no use."""

from pathlib import Path

import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.settings import get_settings


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
