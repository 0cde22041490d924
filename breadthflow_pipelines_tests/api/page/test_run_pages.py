"""Runs in the page: operators start and end them from a form, once however often it is sent; viewers only look on."""

import re

from starlette.testclient import TestClient

from breadthflow_pipelines.api.access import Role
from breadthflow_pipelines_tests.api import test_runs as of_runs
from breadthflow_pipelines_tests.api.page.conftest import Page
from breadthflow_pipelines_tests.api.test_runs import Api, runs_of
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST

# Fixtures of those tests: the API over a store, without and with a webserver of Dagster's.
store, filled, small, frozen = of_runs.store, of_runs.filled, of_runs.small, of_runs.frozen
alone, api, over_filled = of_runs.alone, of_runs.api, of_runs.over_filled

OWN = {"Origin": "http://127.0.0.1:8000"}
RANGE = {"job": "bring_up_to_date", "from": "2023-03-02", "to": "2023-05-31"}


def browser(api: Api, role: Role = Role.OPERATOR) -> TestClient:
    client = api.client(role)
    client.headers.update(OWN)
    client.follow_redirects = False
    return client


def key_of(page: Page) -> str:
    return next(a["value"] or "" for tag, a in page.tags if tag == "input" and a.get("name") == "key")


def test_the_form_starts_one_run_however_often_it_is_sent(api: Api) -> None:
    operator = browser(api)
    page = Page(operator.get("/runs").text)
    assert "No run is known." in page.said
    assert f"{LAST}" in str(page.tags)  # as far as days can be asked for
    fields = RANGE | {"key": key_of(page)}
    first, again = (operator.post("/runs", data=fields) for _ in range(2))
    [run] = runs_of(api)
    assert (first.status_code, first.headers["location"]) == (303, f"/runs/{run.run_id}")
    assert again.headers["location"] == first.headers["location"]
    shown = Page(operator.get(first.headers["location"]).text)
    assert "bring_up_to_date: queued" in shown.said
    assert "2023-03 to 2023-05" in shown.said
    assert re.search(r"Requested \S+ \S+ UTC by operator", shown.said)
    listed = Page(operator.get("/runs").text)
    assert first.headers["location"] in listed.links()


def test_a_run_of_everything_needs_no_days(api: Api) -> None:
    answer = browser(api).post("/runs", data=RANGE | {"job": "run_checks"})
    assert answer.status_code == 303
    assert [run.job_name for run in runs_of(api)] == ["run_checks"]


def test_viewers_look_on_and_can_neither_start_nor_end(api: Api) -> None:
    at = browser(api).post("/runs", data=RANGE).headers["location"]
    viewer, operator = browser(api, Role.VIEWER), browser(api)
    for path, button in (("/runs", "Start a run"), (at, "End this run")):
        assert button in Page(operator.get(path).text).said
        seen = viewer.get(path)
        assert seen.status_code == 200
        assert button not in Page(seen.text).said
        assert [a.get("action") for tag, a in Page(seen.text).tags if tag == "form"] == ["/logout"]
    for path in ("/runs", f"{at}/end"):
        refused = viewer.post(path, data=RANGE)
        assert refused.status_code == 403
        assert "only operators do that" in Page(refused.text).said
    assert len(runs_of(api)) == 1


def test_a_run_that_succeeded_shows_its_checks_and_what_it_made(over_filled: Api) -> None:
    [run] = runs_of(over_filled)
    page = Page(browser(over_filled).get(f"/runs/{run.run_id}").text)
    [(rows,)] = over_filled.store.rows("SELECT count(*) FROM bars")
    assert "bring_up_to_date: success" in page.said
    assert re.search(rf"bars 14 {rows:,} 0 0 ", page.said)
    assert re.search(r"bars_current bars passed", page.said)
    assert "Why it failed" not in page.said
    assert not [tag for tag, _ in page.tags if tag == "progress"]


def test_a_run_that_failed_says_why(api: Api) -> None:
    for path in api.store.small.files():
        path.unlink()
    report = api.store.run(FIRST, LAST)
    page = Page(browser(api).get(f"/runs/{report.run_id}").text)
    assert "bring_up_to_date: failure" in page.said
    assert "Why it failed" in page.said
    assert "Traceback" not in page.said


def test_a_run_is_ended_from_its_page(api: Api) -> None:
    operator = browser(api)
    at = operator.post("/runs", data=RANGE).headers["location"]
    assert operator.post(f"{at}/end").headers["location"] == at
    shown = Page(operator.get(at).text)
    assert "bring_up_to_date: canceled" in shown.said
    assert "End this run" not in shown.said
    assert operator.post(f"{at}/end").status_code == 409


def test_other_sites_start_nothing(api: Api) -> None:
    operator = browser(api)
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert operator.post("/runs", data=RANGE, headers=headers).status_code == 403
    assert runs_of(api) == []


def test_what_cannot_be_run_is_said(api: Api) -> None:
    operator = browser(api)
    for fields, status, said in (
        ({"from": "soon"}, 422, "from: Input should be a valid date"),
        ({"to": ""}, 400, "needs the range that it is about"),
        ({"to": "2199-01-04"}, 400, "2199-01-04 lies after the last closed session"),
        ({"job": "drop_everything"}, 422, "job: Input should be"),
    ):
        answer = operator.post("/runs", data=RANGE | fields)
        assert answer.status_code == status
        assert said in Page(answer.text).said
    assert runs_of(api) == []


def test_without_dagster_s_webserver_the_page_says_what_to_start(alone: Api) -> None:
    answer = browser(alone).get("/runs")
    assert answer.status_code == 503
    assert "Start it with breadthflow up" in Page(answer.text).said


def test_an_id_that_is_none_leads_nowhere(api: Api) -> None:
    assert browser(api).get("/runs/nothing").status_code == 422
    gone = browser(api).get("/runs/00000000-0000-0000-0000-000000000000")
    assert gone.status_code == 404
    assert "What to do next:" in Page(gone.text).said
