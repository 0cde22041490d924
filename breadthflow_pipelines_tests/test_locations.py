"""Paths and addresses: what each means, what is refused, and what people see of them."""

from pathlib import Path

import pytest

from breadthflow_pipelines.locations import location, shown


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("/data/bars.csv", Path("/data/bars.csv")),
        ("~/bars", Path.home() / "bars"),
        ("file:///data/my%20bars.csv", Path("/data/my bars.csv")),
        ("file://localhost/data", Path("/data")),
        ("https://host/a.zip", "https://host/a.zip"),
        ("HTTP://host:8080/a?b=c", "HTTP://host:8080/a?b=c"),
    ],
)
def test_text_means_a_path_or_an_address(text: str, meant: Path | str) -> None:
    assert location(text) == meant


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ftp://me:geheim@host/a", "ftp:// cannot be read; write a path or an address http, https or file"),
        ("s3://bucket/a", "s3:// cannot be read"),
        ("file://host/a", "names no host"),
        ("https:///a.zip", "names no host"),
        ("~nobody-of-that-name/a", "home that nobody has"),
    ],
)
def test_other_addresses_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        location(text)
    assert "geheim" not in str(refusal.value)


@pytest.mark.parametrize(
    ("where", "seen"),
    [
        (Path("/data/bars.csv"), "/data/bars.csv"),
        ("https://me:geheim@host:8080/a.zip?token=geheim#geheim", "https://host:8080/a.zip"),
        ("https://host/a.zip", "https://host/a.zip"),
        ("https://gehe@im@host/a", "https://host/a"),  # a password may hold an @
    ],
)
def test_nobody_sees_credentials_of_an_address(where: Path | str, seen: str) -> None:
    assert shown(where) == seen


def test_a_relative_path_is_one_of_this_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert location("bars") == tmp_path / "bars"
