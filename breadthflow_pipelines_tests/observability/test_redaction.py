"""Secrets that were planted into texts do not leave; what people need to read does."""

import pytest

from breadthflow_pipelines.observability.redaction import Redactor, scheme

KNOWN = (
    "postgresql://breadthflow:pl%40nted-pw@db.example:5432/breadthflow",
    "slack://PLANTEDA1/PLANTEDB2/plantedplantedC3/#alerts",
    "json://user:planted-json@hooks.example/planted-path?+X-Key=planted-header",
)
VARIABLES = {"VENDOR_API_KEY": "planted-variable", "PWD": "/work/breadthflow", "LANG": "C.UTF-8-planted-not"}


@pytest.mark.parametrize(
    "text",
    [
        'connection to "postgresql://breadthflow:pl%40nted-pw@db.example:5432/breadthflow" failed',
        "password pl@nted-pw was refused",  # as it is meant, not as the address writes it
        "invalid literal: 'pl%40nted-pw'",
        "POST https://hooks.slack.com/services/PLANTEDA1/PLANTEDB2/plantedplantedC3: 404",
        "planted-json and planted-path and planted-header",
        "the vendor refused planted-variable",
        # nobody told these
        "postgresql://someone:planted@elsewhere/db does not answer",
        "postgresql://someone:pl/an?te#d@planted@elsewhere/db does not answer",  # not encoded as it should be
        "GET https://feed.example/bars?symbol=SPY&crumb=planted failed with 401",
        "{'Authorization': 'Bearer planted.planted'}",
        "Cookie: session=planted; other=planted",
        "header was Basic cGxhbnRlZDpwbGFudGVk",
        "api_key=planted, password: planted, secret='two planted words', MY_TOKEN = \"planted\"",
        "eyJwbGFudGVk.eyJwbGFudGVk.cGxhbnRlZA",
        "ghp_plantedplantedplanted xoxb-1234-planted AKIAPLANTEDPLANTED sk-plantedplanted",
        "-----BEGIN PRIVATE KEY-----\nplanted\nplanted\n-----END PRIVATE KEY-----",
    ],
)
def test_planted_secrets_do_not_pass(text: str) -> None:
    shown = Redactor(KNOWN, VARIABLES)(text)
    for secret in ("planted", "pl@nted", "pl%40nted", "pl/an?te", "cGxhbnRlZ", "eyJwbGFudGVk"):
        assert secret.lower() not in shown.lower(), shown


@pytest.mark.parametrize(
    "text",
    [
        "check bars.bars_current failed: expected 2024-01-05, last_held 2024-01-04",
        "signal = 0.5, passed: 3, signals: 8, bypass: 2",
        "None of the 2 file(s) in /data/bars can be read. x.csv: no column for open.",
        "breadthflow backfill --from 2024-01-02 --to 2024-02-05",
        "https://feed.example/bars answers 503",
        "/work/breadthflow",  # the working directory is in a variable called PWD
    ],
)
def test_what_helps_is_left_as_it_is(text: str) -> None:
    assert Redactor(KNOWN, VARIABLES)(text) == text


def test_of_an_address_only_the_scheme_is_shown() -> None:
    assert [scheme(url) for url in KNOWN] == ["postgresql://***", "slack://***", "json://***"]
