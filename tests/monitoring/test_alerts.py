"""An alert arrives at a webhook for each problem, once."""

import json
from dataclasses import replace

import pytest

from monitoring.alerts import MAX_FAILURES, send_alerts
from monitoring.health import Watched
from monitoring.problems import Findings, find_problems
from tests.monitoring.platform import NOW, PAGES, drifted_dump, failed_dump, loaded_dump, moment, waiting_task

TOKEN = "canary-token-of-the-webhook"


class Watch:
    """The passes of watch_platform. The state is stored as JSON, as in an Airflow Variable."""

    def __init__(self, platform, send):
        self.platform, self.send, self.stored = platform, send, "{}"

    def run(self):
        self.platform.update()
        findings = find_problems(
            self.platform.watched, self.platform.airflow, self.platform.query, PAGES, NOW
        )
        self.alert(findings)

    def alert(self, findings):
        send_alerts(findings, json.loads(self.stored), self.send, self.save)

    def save(self, state):
        self.stored = json.dumps(state)


@pytest.fixture
def watch(platform, server, monkeypatch):
    from vaxpulse_airflow.alerts import find_receiver

    url = f"{server.url}/hooks/{TOKEN}"
    monkeypatch.setenv("AIRFLOW_CONN_VAXPULSE_ALERTS", json.dumps({"conn_type": "generic", "password": url}))
    server.answers[f"/hooks/{TOKEN}"] = (200, {})
    return Watch(platform, find_receiver())


@pytest.fixture
def faulty(platform):
    """A platform with one problem of each cause."""
    platform.add_run("clean_tweets", "a", "failed", moment(hours=1))
    platform.waiting = [waiting_task(moment(days=2))]
    platform.dumps = [failed_dump(), failed_dump(state="failed", sha256="c" * 64), loaded_dump()]
    platform.drift = [drifted_dump()]
    platform.mlflow = 503
    platform.datanodes["datanode-2:9866"] = {"capacity": 100, "remaining": 5}
    return platform


CAUSES = ["disk", "drift", "dump", "dump", "failed run", "service", "waiting"]


def test_each_cause_arrives_once(watch, faulty, server):
    for _ in range(5):
        watch.run()
    assert sorted(request["cause"] for request in server.requests) == CAUSES
    for request in server.requests:
        assert request["state"] == "open"
        assert request["link"].startswith(PAGES)
        for part in ("title", "advice", "link"):
            assert request[part] in request["text"]


def test_service_that_is_down_in_one_pass_only_is_not_reported(watch, platform, server):
    platform.mlflow = 503
    watch.run()
    platform.mlflow = 200
    watch.run()
    assert server.requests == []
    platform.mlflow = 503
    watch.run()
    watch.run()
    assert [request["title"] for request in server.requests] == ["MLflow does not respond"]


def test_end_of_a_fault_of_a_service_is_reported_once(watch, platform, server):
    platform.mlflow = 503
    watch.run()
    watch.run()
    platform.mlflow = 200
    for _ in range(3):
        watch.run()
    assert [request["state"] for request in server.requests] == ["open", "resolved"]
    assert server.requests[1]["text"].startswith("vaxpulse: resolved: MLflow does not respond")
    assert json.loads(watch.stored) == {}


def test_problem_that_comes_back_is_reported_again(watch, platform, server):
    dump = failed_dump()
    platform.dumps = [dump]
    watch.run()
    platform.dumps = []
    watch.run()
    platform.dumps = [dump | {"ingested_at": moment(minutes=5)}]
    watch.run()
    assert len(server.requests) == 2


def test_outage_of_hdfs_does_not_repeat_the_alerts_about_dumps(watch, faulty, server):
    watch.run()
    faulty.namenode["FSState"] = "safeMode"
    watch.run()
    watch.run()
    faulty.namenode["FSState"] = "Operational"
    watch.run()
    assert sum(request["cause"] == "dump" for request in server.requests) == 2
    assert [r["title"] for r in server.requests if "HDFS" in r["title"]] == ["HDFS is in state safeMode"] * 2


def test_outage_of_the_namenode_does_not_end_problems_that_only_it_can_see(watch, faulty, server):
    faulty.namenode["NumDeadDataNodes"] = 1
    for _ in range(2):
        watch.run()
    before, watched = len(server.requests), faulty.watched
    assert before == len(CAUSES) + 1
    faulty.watched = replace(watched, namenode="http://127.0.0.1:9")
    faulty.mlflow = 200
    watch.run()
    faulty.watched = watched
    for _ in range(2):
        watch.run()
    sent = [(request["title"], request["state"]) for request in server.requests[before:]]
    assert sent == [("MLflow does not respond", "resolved")]


def test_alert_is_sent_again_after_the_webhook_has_failed(watch, faulty, server):
    server.answers[f"/hooks/{TOKEN}"] = (500, {})
    with pytest.raises(Exception, match=r"^the webhook responds with status 500$"):
        watch.run()
    assert len(server.requests) == MAX_FAILURES
    server.requests.clear()
    server.answers[f"/hooks/{TOKEN}"] = (204, {})
    for _ in range(3):
        watch.run()
    assert sorted(request["cause"] for request in server.requests) == CAUSES


def test_alert_that_is_refused_does_not_stop_the_others(watch, faulty, server):
    sent = []

    def send(alert):
        if alert.problem.cause == "drift":
            raise ConnectionError("refused")
        sent.append(alert.problem.cause)

    watch.send = send
    for _ in range(3):
        with pytest.raises(ConnectionError):
            watch.run()
    assert sorted(sent) == [cause for cause in CAUSES if cause != "drift"]


def test_url_of_the_webhook_is_in_no_error(watch, server, platform):
    from vaxpulse_airflow.alerts import AlertError

    platform.dumps = [failed_dump()]
    server.close()
    platform.watched = Watched("http://127.0.0.1:9", "http://127.0.0.1:9")
    problem = find_problems(platform.watched, platform.airflow, platform.query, PAGES, NOW).problems[0]
    watch.alert(Findings([problem], {}))  # a service: reported by the second pass
    with pytest.raises(AlertError) as caught:
        watch.alert(Findings([problem], {}))
    assert str(caught.value) == "the webhook does not respond: ConnectionError"
    assert TOKEN not in str(caught.getrepr(chain=True, showlocals=False))
    assert caught.value.__suppress_context__


def test_webhook_that_redirects_gets_no_alert_elsewhere(watch, platform, server):
    platform.dumps = [failed_dump()]
    server.answers[f"/hooks/{TOKEN}"] = (302, {})
    with pytest.raises(Exception, match="status 302"):
        watch.run()
    assert len(server.requests) == 1


def test_without_a_connection_there_is_no_receiver(monkeypatch):
    from vaxpulse_airflow.alerts import find_receiver

    monkeypatch.delenv("AIRFLOW_CONN_VAXPULSE_ALERTS", raising=False)
    assert find_receiver() is None


@pytest.mark.parametrize(
    ("connection", "advice"),
    [
        ({"conn_type": "generic"}, "must be the http.s. URL of the webhook"),
        ({"conn_type": "generic", "password": "ftp://example.org"}, "must be the http.s. URL"),
        ({"conn_type": "smtp", "host": "mail.example.org"}, 'needs "to"'),
    ],
)
def test_incomplete_connection_is_refused_with_advice(monkeypatch, connection, advice):
    from vaxpulse_airflow.alerts import find_receiver

    monkeypatch.setenv("AIRFLOW_CONN_VAXPULSE_ALERTS", json.dumps(connection))
    with pytest.raises(ValueError, match=advice) as caught:
        find_receiver()
    assert "example.org" not in str(caught.value)


def test_alert_by_mail(monkeypatch, platform):
    from airflow.providers.smtp.hooks import smtp

    from vaxpulse_airflow.alerts import find_receiver

    sent = []

    class Client:
        def sendmail(self, from_addr, to_addrs, msg):
            sent.append((from_addr, to_addrs, msg))

        def close(self):
            """Close nothing."""

    monkeypatch.setattr(smtp.SmtpHook, "_build_client", lambda self: Client())
    extra = {"from_email": "vaxpulse@example.org", "to": "ann@example.org", "disable_tls": True}
    connection = {"conn_type": "smtp", "host": "mail.example.org", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_VAXPULSE_ALERTS", json.dumps(connection))
    platform.dumps = [failed_dump()]
    Watch(platform, find_receiver()).run()
    [(sender, receivers, message)] = sent
    assert (sender, receivers) == ("vaxpulse@example.org", ["ann@example.org"])
    assert "Subject: vaxpulse: Dump june.csv is held: the ids are ambiguous" in message
