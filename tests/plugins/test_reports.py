"""The tab *Report* of a DAG run."""

import airflow.api_fastapi.core_api.security as security
import pytest
from airflow.api_fastapi.core_api.security import get_user
from airflow.providers.apache.hdfs.hooks.webhdfs import AirflowWebHDFSHookException, WebHDFSHook
from fastapi.testclient import TestClient
from vaxpulse_airflow.reports import Reports, report_app

from contracts.hdfs_paths import REPORTS, report_path
from tests.plugins.memory_hdfs import MemoryHdfs

RUN_ID = "asset_triggered__2026-11-24T02:11:08.5+00:00_a1B2"
ADDRESS = f"/reports/explore_tweets/{RUN_ID.replace('+', '%2B')}"
PAGE = "<!doctype html><title>3 tweets</title>💉".encode()


class AuthManager:
    """Permits every user to see one DAG."""

    def is_authorized_dag(self, *, method, access_entity, details, user):
        return details.id == "explore_tweets"


@pytest.fixture
def hdfs(monkeypatch):
    hdfs = MemoryHdfs()
    monkeypatch.setattr(WebHDFSHook, "get_conn", lambda self: hdfs)
    return hdfs


@pytest.fixture
def app(monkeypatch):
    monkeypatch.setattr(security, "get_auth_manager", AuthManager)
    monkeypatch.setattr(security.DagModel, "get_team_name", lambda dag_id: None)
    return report_app()


@pytest.fixture
def browser(app):
    app.dependency_overrides[get_user] = lambda: "analyst"
    return TestClient(app)


def test_report_of_a_run_is_shown_unchanged(hdfs, browser):
    hdfs.put(f"{report_path('explore_tweets', RUN_ID)}/report.html", PAGE)
    answer = browser.get(ADDRESS)
    assert (answer.status_code, answer.content) == (200, PAGE)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_report_cannot_run_scripts_or_load_files(hdfs, browser):
    hdfs.put(f"{report_path('explore_tweets', RUN_ID)}/report.html", PAGE)
    policy = browser.get(ADDRESS).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_missing_report_is_a_page_with_an_explanation(hdfs, browser):
    answer = browser.get(ADDRESS)
    assert answer.status_code == 404
    assert "This run has no report" in answer.text


def test_report_requires_a_login(hdfs, app):
    hdfs.put(f"{report_path('explore_tweets', RUN_ID)}/report.html", PAGE)
    answer = TestClient(app).get(ADDRESS)
    assert answer.status_code == 401
    assert PAGE not in answer.content


def test_report_requires_permission_for_the_dag(hdfs, browser):
    hdfs.put(f"{report_path('secret_dag', RUN_ID)}/report.html", PAGE)
    answer = browser.get(ADDRESS.replace("explore_tweets", "secret_dag"))
    assert answer.status_code == 403
    assert PAGE not in answer.content


def test_failure_of_hdfs_is_a_page_with_an_explanation(monkeypatch, browser):
    def refuse(self):
        raise AirflowWebHDFSHookException("Failed to locate the valid server.")

    monkeypatch.setattr(WebHDFSHook, "get_conn", refuse)
    answer = browser.get(ADDRESS)
    assert answer.status_code == 503
    assert "HDFS does not answer" in answer.text


def test_invalid_id_is_a_page_with_an_explanation(hdfs, browser):
    answer = browser.get("/reports/explore_tweets/%3Cscript%3E")
    assert answer.status_code == 404
    assert "<script>" not in answer.text


FILE = "submission-0123456789ab.csv"


def test_file_of_a_report_is_downloaded_unchanged(hdfs, browser):
    hdfs.put(f"{report_path('explore_tweets', RUN_ID)}/{FILE}", b"tweet_id,label\nA1,0.5\n")
    answer = browser.get(f"{ADDRESS}/files/{FILE}")
    assert (answer.status_code, answer.content) == (200, b"tweet_id,label\nA1,0.5\n")
    assert answer.headers["content-disposition"] == f'attachment; filename="{FILE}"'
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"


@pytest.mark.parametrize("name", ["figures.json", "report.html", "..%2F..%2Fa.csv", "a%22b.csv", "%2E%2E"])
def test_only_tables_of_the_report_can_be_downloaded(hdfs, browser, name):
    hdfs.put(f"{report_path('explore_tweets', RUN_ID)}/figures.json", b"{}")
    hdfs.put(f"{REPORTS}/a.csv", b"of another run")
    assert browser.get(f"{ADDRESS}/files/{name}").status_code == 404


def test_missing_file_is_a_page_with_an_explanation(hdfs, browser):
    answer = browser.get(f"{ADDRESS}/files/{FILE}")
    assert answer.status_code == 404
    assert "This file does not exist" in answer.text


def test_download_requires_permission_for_the_dag(hdfs, browser):
    hdfs.put(f"{report_path('secret_dag', RUN_ID)}/{FILE}", b"secret")
    answer = browser.get(f"{ADDRESS.replace('explore_tweets', 'secret_dag')}/files/{FILE}")
    assert answer.status_code == 403
    assert b"secret" not in answer.content.replace(b"secret_dag", b"")


def test_tab_opens_a_route_of_the_application():
    [view] = Reports.external_views
    [app] = Reports().fastapi_apps
    path = view["href"].removeprefix(app["url_prefix"])
    assert path.replace("DAG_ID", "dag_id").replace("RUN_ID", "run_id") in [
        route.path for route in app["app"].routes
    ]
    assert view["destination"] == "dag_run"
