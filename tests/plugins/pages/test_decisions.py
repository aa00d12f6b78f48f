"""Forms on the page of a dump."""

import re
from datetime import timedelta

import pytest

from tests.plugins.pages.platform import User, dump, sha256_of
from vaxpulse_airflow.pages import access
from vaxpulse_airflow.pages.access import form_token

SHA256 = sha256_of("june.csv")
ADDRESS = f"/dumps/{SHA256}"
REASON = "delivered by mistake"
RUN = f"held__{SHA256[:16]}__20261124T083000"


@pytest.fixture
def curator(browser, permissions):
    permissions.changeable |= {"review_dump", "retract_dump", "reopen_dump"}
    return browser


def token_on(page):
    return re.search('name="token" value="([^"]+)"', page)[1]


def send(browser, action, **fields):
    values = {"token": form_token(User("analyst")), "reason": REASON} | fields
    headers = values.pop("headers", {})
    return browser.post(f"{ADDRESS}/{action}", data=values, headers=headers)


@pytest.mark.parametrize(
    ("state", "action"),
    [
        ("held", "review_dump"),
        ("loaded", "retract_dump"),
        ("failed", "reopen_dump"),
        ("refused", "reopen_dump"),
        ("rejected", "reopen_dump"),
        ("retracted", "reopen_dump"),
        ("erased", None),
    ],
)
def test_form_depends_on_the_state(curator, platform, state, action):
    platform.add_dumps(dump("june.csv", state))
    page = curator.get(ADDRESS).text
    found = re.findall(f'action="{ADDRESS}/([a-z_]+)"', page)
    assert found == ([action] if action else [])


def test_viewer_sees_no_form(browser, platform):
    platform.add_dumps(dump("june.csv", "held"))
    page = browser.get(ADDRESS).text
    assert 'method="post"' not in page
    assert "A user with the role Curator can decide" in page


def test_retraction_starts_the_dag_and_leads_to_the_run(curator, platform, airflow):
    platform.add_dumps(dump("june.csv"))
    token = token_on(curator.get(ADDRESS).text)
    answer = send(curator, "retract_dump", token=token)
    assert airflow.sent == [
        (
            "/api/v2/dags/retract_dump/dagRuns",
            {"logical_date": None, "conf": {"dump_sha256": SHA256, "reason": REASON}},
        )
    ]
    assert answer.status_code == 303
    assert answer.headers["location"] == "/dags/retract_dump/runs/manual__2026-11-24T08:30:00+00:00"


def test_reopening_passes_the_mapping(curator, platform, airflow):
    platform.add_dumps(dump("june.csv", "failed"))
    send(curator, "reopen_dump", mapping='{"text": "tweet"}')
    [(path, body)] = airflow.sent
    assert path == "/api/v2/dags/reopen_dump/dagRuns"
    assert body["conf"]["mapping"] == {"text": "tweet"}


def test_decision_answers_the_waiting_run(curator, platform, airflow):
    platform.add_dumps(dump("june.csv", "held"))
    airflow.waiting = [
        {"task_instance": {"dag_run_id": run}} for run in (f"held__{'0' * 16}__20261124T083000", RUN)
    ]
    answer = send(curator, "review_dump", decision="Approve", mapping='{"text": "tweet"}')
    [(path, body)] = airflow.sent
    assert path == f"/api/v2/dags/review_dump/dagRuns/{RUN}/taskInstances/decide/-1/hitlDetails"
    assert body == {
        "chosen_options": ["Approve"],
        "params_input": {"mapping": {"text": "tweet"}, "reason": REASON},
    }
    assert answer.headers["location"] == f"/dags/review_dump/runs/{RUN}"


def test_decision_without_a_waiting_run_is_explained(curator, platform, airflow):
    platform.add_dumps(dump("june.csv", "held"))
    answer = send(curator, "review_dump", decision="Reject")
    assert answer.status_code == 409
    assert "No run of review_dump waits" in answer.text
    assert airflow.sent == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"reason": "short"}, 422),
        ({"mapping": "{"}, 400),
        ({"mapping": "[1]"}, 400),
        ({"token": ""}, 422),
        ({"token": "9999999999.0000"}, 403),
        ({"token": "not a token"}, 403),
        ({"token": "é.é"}, 403),
        ({"headers": {"Origin": "https://evil.example"}}, 403),
        ({"headers": {"Origin": "null"}}, 403),
        ({"headers": {"Sec-Fetch-Site": "cross-site"}}, 403),
        ({"headers": {"Sec-Fetch-Site": "same-site"}}, 403),
    ],
)
def test_wrong_or_foreign_form_changes_nothing(curator, platform, airflow, fields, status):
    platform.add_dumps(dump("june.csv", "failed"))
    assert send(curator, "reopen_dump", **fields).status_code == status
    assert airflow.sent == []


def test_form_of_another_user_is_refused(curator, platform, airflow):
    platform.add_dumps(dump("june.csv", "failed"))
    answer = send(curator, "reopen_dump", token=form_token(User("mallory")))
    assert answer.status_code == 403
    assert airflow.sent == []


def test_form_expires(curator, platform, airflow, monkeypatch):
    platform.add_dumps(dump("june.csv", "failed"))
    monkeypatch.setattr(access, "TOKEN_SECONDS", -timedelta(minutes=1).total_seconds())
    token = form_token(User("analyst"))
    assert send(curator, "reopen_dump", token=token).status_code == 403


def test_form_of_the_same_site_is_accepted(curator, platform, airflow):
    platform.add_dumps(dump("june.csv", "failed"))
    headers = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
    assert send(curator, "reopen_dump", headers=headers).status_code == 303


def test_refusal_of_airflow_is_a_page(curator, platform, airflow):
    platform.add_dumps(dump("june.csv", "failed"))
    airflow.error = (403, "Forbidden")
    answer = send(curator, "reopen_dump")
    assert answer.status_code == 403
    assert "Your role in Airflow does not allow this" in answer.text


def test_large_form_is_refused_before_it_is_read(curator, platform):
    answer = curator.post(f"{ADDRESS}/reopen_dump", content=b"x" * (1 << 20) + b"x")
    assert answer.status_code == 413
    assert curator.post(f"{ADDRESS}/reopen_dump", content=iter([b"x"])).status_code == 413
