"""Logins, permissions, and the headers of every page."""

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from tests.plugins.pages.platform import dump, sha256_of


def addresses(app):
    """Return an address of each route, with its method."""
    values = {
        "sha256": sha256_of("june.csv"),
        "dag_id": "score_tweets",
        "run_id": "manual__1",
        "upload_id": "0" * 32,
        "by": "day",
        "kind": "csv",
    }
    return [
        (method, route.path.format_map(values))
        for route in app.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    ]


def test_every_address_requires_a_login(app, platform):
    platform.add_dumps(dump("june.csv"))
    found = addresses(app)
    assert len(found) > 12
    stranger = TestClient(app, follow_redirects=False)
    for method, address in found:
        answer = stranger.request(method, address, content=b"" if method == "POST" else None)
        assert answer.status_code == 401, address
        assert "june.csv" not in answer.text


def test_login_page_is_linked(app):
    answer = TestClient(app).get("/dumps")
    assert "Please log in" in answer.text


def test_page_requires_permission_for_its_dag(browser, permissions, platform):
    platform.add_dumps(dump("june.csv"))
    permissions.hidden.add("ingest_tweets")
    sha256 = sha256_of("june.csv")
    for address in ("/dumps", f"/dumps/{sha256}", f"/dumps/{sha256}/quarantine.csv"):
        answer = browser.get(address)
        assert answer.status_code == 403, address
        assert "june.csv" not in answer.text


@pytest.mark.parametrize("address", ["/dumps", "/style.css", "/nowhere", f"/dumps/{'0' * 64}"])
def test_no_page_runs_scripts_or_is_framed_by_another_site(browser, address):
    headers = browser.get(address).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "private" in headers["cache-control"]


def test_wrong_address_is_a_page_with_an_explanation(browser):
    answer = browser.get("/dumps/%3Cscript%3E")
    assert answer.status_code == 422
    assert "sha256" in answer.text
    assert "<script>" not in answer.text


def test_links_begin_with_the_path_of_the_application(app, browser):
    answer = TestClient(app, root_path="/proxy/pulse", cookies=browser.cookies).get("/dumps")
    assert 'href="/proxy/pulse/style.css"' in answer.text
    assert 'href="/proxy/"' in answer.text
