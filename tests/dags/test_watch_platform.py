"""The task of watch_platform: what it logs, sends and records, and when it fails."""

import json
from dataclasses import asdict

import pytest
from airflow.sdk.exceptions import AirflowException

from monitoring import metrics, problems
from monitoring.problems import Findings, Problem

HELD = Problem(
    "dump", "dump a", "Dump june.csv is held", "Approve or reject the dump.", "http://airflow/actions"
)


DOWN = Problem("service", "service MLflow", "MLflow does not respond", "Read the log.", "http://airflow")


class PushedXComs(dict):
    def xcom_push(self, key, value):
        self[key] = value


@pytest.fixture
def watch(dag_bag, dag_module, monkeypatch):
    """Return a function that runs the task, and the list of its effects."""
    module = dag_module("watch_platform")
    effects = []
    monkeypatch.setenv(
        "VAXPULSE_WATCHED",
        json.dumps({"airflow": "http://a", "namenode": "http://n", "pages": {}, "disks": []}),
    )
    monkeypatch.setattr(module, "open_api", lambda url: None)
    monkeypatch.setattr(module, "load_state", dict)
    monkeypatch.setattr(module, "save_state", lambda state: effects.append(("saved", list(state))))
    monkeypatch.setattr(metrics, "record_metrics", lambda *_: effects.append("recorded") or 1)
    from airflow.dag_processing.dagbag import DagBag  # noqa: F401 (initialises Airflow)

    def run(send=None, unchecked=(), found=(HELD,), ti=None):
        findings = Findings([*found], dict(unchecked))
        monkeypatch.setattr(problems, "find_problems", lambda *_: findings)
        monkeypatch.setattr(module, "find_receiver", lambda: send)
        recorder = PushedXComs() if ti is None else ti
        dag_bag.dags["watch_platform"].get_task("watch").python_callable(ti=recorder)
        return effects

    return run, effects


def test_problems_are_logged_without_a_receiver(watch, caplog):
    run, effects = watch
    run()
    assert "Dump june.csv is held. Approve or reject the dump. http://airflow/actions" in caplog.text
    assert effects == ["recorded"]


def test_alerts_are_sent_and_the_state_is_saved(watch):
    run, effects = watch
    sent = []
    run(sent.append)
    assert [alert.problem for alert in sent] == [HELD]
    assert ("saved", ["dump a"]) in effects


def test_task_fails_after_the_metrics_if_the_webhook_does_not_respond(watch):
    run, effects = watch

    def send(alert):
        raise AirflowException("the webhook does not respond: ConnectTimeout")

    with pytest.raises(AirflowException, match=r"^alerts: the webhook does not respond: ConnectTimeout$"):
        run(send)
    assert effects[-1] == "recorded"


def test_task_fails_if_a_cause_could_not_be_checked(watch):
    run, effects = watch
    with pytest.raises(AirflowException, match=r"^drift: not checked: HDFS is in state safeMode$"):
        run(unchecked={"drift": "HDFS is in state safeMode"})
    assert effects == []


def test_problems_of_services_and_disks_are_recorded_for_the_overview(watch):
    run, _ = watch
    pushed = PushedXComs()
    with pytest.raises(AirflowException):
        run(unchecked={"disk": "ValueError: no JSON"}, found=[HELD, DOWN], ti=pushed)
    assert pushed == {
        "services_and_disks": {"problems": [asdict(DOWN)], "unchecked": "ValueError: no JSON"},
    }
