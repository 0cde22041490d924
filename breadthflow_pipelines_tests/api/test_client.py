"""A client that openapi-python-client makes from the document: it has types, and reads what the store has."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from breadthflow_pipelines.api.app import openapi_document
from breadthflow_pipelines.warehouse.database import rows_of
from breadthflow_pipelines_tests.api.conftest import Served
from breadthflow_pipelines_tests.api.test_servers import served

pytestmark = pytest.mark.slow


def test_a_client_made_from_the_document_reads_breadth_and_signals(
    own: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(openapi_document()))
    make = [Path(sys.executable).with_name("openapi-python-client"), "generate", "--meta", "none"]
    (tmp_path / "config.json").write_text('{"post_hooks": []}')  # it would format what it made
    place = [
        "--config",
        tmp_path / "config.json",
        "--path",
        tmp_path / "openapi.json",
        "--output-path",
        tmp_path / "breadthflow_client",
    ]
    made = subprocess.run([*make, *place], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "Warning" not in made.stdout, made.stdout
    monkeypatch.syspath_prepend(tmp_path)
    client_module = importlib.import_module("breadthflow_client")
    breadth = importlib.import_module("breadthflow_client.api.breadth.breadth")
    signals = importlib.import_module("breadthflow_client.api.breadth.signals")
    explain = importlib.import_module("breadthflow_client.api.breadth.signal")
    with served(own) as (address, _), client_module.AuthenticatedClient(address, own.viewer) as client:
        page = breadth.sync(client=client, universe="small", segment="ALL", limit=5)
        stored = rows_of(
            own.owner, "SELECT session, advances FROM breadth WHERE segment = 'ALL' ORDER BY session LIMIT 5"
        )
        assert [(row.session, row.advances) for row in page.rows] == [tuple(row.values()) for row in stored]
        following = breadth.sync(client=client, universe="small", segment="ALL", limit=5, cursor=page.next_)
        assert following.rows[0].session > page.rows[-1].session
        [signal] = signals.sync(client=client, rule="conviction", limit=1).rows
        explained = explain.sync(client=client, signal_id=signal.signal_id)
        assert explained.title.startswith(signal.action.upper())
        refused = breadth.sync_detailed(client=client, universe="nowhere")
        assert refused.status_code == 400
