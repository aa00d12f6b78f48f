"""Each fault of a platform is one problem, and a healthy platform has none."""

import shutil
from types import SimpleNamespace

import pytest

from monitoring.health import Watched
from monitoring.problems import (
    DATANODES,
    DISK,
    DRIFTED,
    DUMP,
    FAILED_RUN,
    SERVICE,
    WAITING,
    find_problems,
)
from tests.monitoring.platform import (
    NOW,
    PAGES,
    drifted_dump,
    failed_dump,
    loaded_dump,
    moment,
    waiting_task,
)


@pytest.fixture
def find(platform):
    def run():
        platform.update()
        return find_problems(platform.watched, platform.airflow, platform.query, PAGES, NOW)

    return run


def titles(found):
    assert found.unchecked == {}
    return [problem.title for problem in found.problems]


def test_healthy_platform_has_no_problem(platform, find):
    platform.add_run("clean_tweets", "a", "success", moment(minutes=1))
    assert titles(find()) == []


def test_problem_has_a_link_and_advice(platform, find):
    platform.add_run("clean_tweets", "manual__2026-11-28T10:00:00+00:00", "failed", moment(hours=1))
    [problem] = find().problems
    assert problem.cause == FAILED_RUN
    assert problem.link == f"{PAGES}/dags/clean_tweets/runs/manual__2026-11-28T10:00:00+00:00"
    assert "clear the task" in problem.advice


def test_failed_run_is_listed_for_a_day_or_until_a_later_run_has_succeeded(platform, find):
    platform.add_run("clean_tweets", "a", "failed", moment(days=2))
    platform.add_run("score_tweets", "a", "failed", moment(days=2))
    platform.add_run("score_tweets", "b", "success", moment(days=1))
    platform.add_run("review_dump", "a", "failed", moment(hours=2))
    platform.add_run("review_dump", "b", "success", moment(hours=1))
    assert titles(find()) == ["A run of clean_tweets failed", "A run of review_dump failed"]


def test_run_that_was_cleared_and_fails_again_is_another_problem(platform, find):
    run = platform.add_run("clean_tweets", "a", "failed", moment(hours=2))
    [first] = find().problems
    run["end_date"] = moment(hours=1).isoformat()
    [second] = find().problems
    assert first.key != second.key


def test_watching_dag_does_not_report_itself(platform, find):
    platform.add_run("watch_platform", "a", "failed", moment(minutes=5))
    assert titles(find()) == []


def test_decision_is_a_problem_after_a_day(platform, find):
    platform.waiting = [waiting_task(moment(hours=23))]
    assert titles(find()) == []
    platform.waiting = [waiting_task(moment(hours=25))]
    [problem] = find().problems
    assert (problem.cause, problem.link) == (
        WAITING,
        f"{PAGES}/dags/review_dump/runs/held__1/tasks/decide",
    )
    platform.waiting[0]["task_instance"]["state"] = "failed"
    assert titles(find()) == []


def test_held_and_failed_dumps_are_problems(platform, find):
    platform.dumps = [failed_dump(), failed_dump(state="failed", sha256="c" * 64)]
    held, failed = find().problems
    assert held.title == "Dump june.csv is held: the ids are ambiguous"
    assert held.link.endswith("/required_actions?response_received=false")
    assert "reopen_dump" in failed.advice
    assert failed.link.endswith("/dags/ingest_tweets/runs/asset_triggered__1")
    assert {held.cause, failed.cause} == {DUMP}


def test_text_of_strangers_cannot_address_people_or_contain_links(platform, find):
    platform.dumps = [failed_dump(source="<!channel> @all [x](https://example.org)\n*b*\u202e" + "y" * 500)]
    [problem] = find().problems
    assert problem.title.startswith("Dump ??channel? ?user? ?x?(https:??example.org) ?b??yyy")
    assert len(problem.title) < 150


def test_alert_contains_no_user_name_and_no_link(platform, find):
    reason = "the label '@ann_smith you lie https://example.org/x' is unknown; ask ann.smith@example.org"
    platform.dumps = [failed_dump(source="uploads/ann.smith@example.org/@ann_smith/june.csv")]
    platform.dumps[0]["reason"] = reason
    [problem] = find().problems
    assert "smith" not in problem.title
    assert "example.org?x" not in problem.title
    assert "you lie" in problem.title


def test_drift_of_the_latest_model_is_a_problem_for_a_week(platform, find):
    platform.dumps = [loaded_dump(), loaded_dump("d" * 64)]
    platform.drift = [drifted_dump(), drifted_dump(version="2", sha256="d" * 64)]
    [problem] = find().problems
    assert problem.cause == DRIFTED
    assert problem.title == "Dump bbbbbbbbbbbb differs from the training data of vaxpulse 3: label_psi"
    platform.drift = [drifted_dump(measured=moment(days=8))]
    assert titles(find()) == []


def test_drift_of_a_retracted_dump_is_no_problem(platform, find):
    platform.dumps, platform.drift = [loaded_dump()], [drifted_dump()]
    assert len(titles(find())) == 1
    platform.dumps[0]["state"] = "retracted"
    assert titles(find()) == []


@pytest.mark.parametrize(
    ("fault", "title"),
    [
        (
            lambda platform: platform.airflow_parts.update(triggerer="unhealthy"),
            "Airflow triggerer is unhealthy",
        ),
        (lambda platform: platform.namenode.update(FSState="safeMode"), "HDFS is in state safeMode"),
        (lambda platform: platform.namenode.update(NumLiveDataNodes=0), "HDFS has no live DataNode"),
        (lambda platform: platform.namenode.update(NumDeadDataNodes=1), "HDFS DataNodes lost: 1"),
        (lambda platform: setattr(platform, "mlflow", 503), "MLflow does not respond"),
    ],
)
def test_service_that_is_down_is_a_problem(platform, find, fault, title):
    fault(platform)
    [problem] = find().problems
    assert (problem.cause, problem.title) == (SERVICE, title)


def test_server_that_does_not_respond_is_one_problem(platform, find):
    platform.watched = Watched("http://127.0.0.1:9", platform.server.url)
    [problem] = find().problems
    assert problem.title == "Airflow does not respond"


def test_disks_above_the_limit_are_problems(platform, find, monkeypatch):
    platform.watched = Watched(platform.server.url, platform.server.url, {}, ("/home",))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=100, used=84, free=10))
    platform.datanodes["datanode-2:9866"] = {"capacity": 1000, "remaining": 149}
    found = find()
    assert titles(found) == [
        "The disk of /home is 89% full (limit 85%)",
        "The disk of DataNode datanode-2:9866 is 85% full (limit 85%)",
    ]
    assert {problem.cause for problem in found.problems} == {DISK}


def test_cause_that_cannot_be_checked_does_not_hide_the_others(platform, find, monkeypatch):
    platform.dumps = [failed_dump()]

    def fail(path, query):
        raise ConnectionError("refused <https://example.org>")

    monkeypatch.setattr(platform, "airflow", fail)
    found = find()
    assert [problem.cause for problem in found.problems] == [DUMP]
    assert found.unchecked.keys() == {FAILED_RUN, WAITING}
    assert found.unchecked[WAITING] == "ConnectionError: refused ?https:??example.org?"


def test_disks_and_datanodes_are_unchecked_if_the_namenode_does_not_respond(platform, find, monkeypatch):
    platform.watched = Watched(platform.server.url, "http://127.0.0.1:9", {}, ("/home",))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=100, used=84, free=10))
    found = find()
    assert [problem.title for problem in found.problems] == [
        "HDFS is in state unknown",
        "The disk of /home is 89% full (limit 85%)",
    ]
    assert found.unchecked.keys() == {DATANODES, DISK, DUMP, DRIFTED}
    assert found.unchecked[DISK] == "ConnectionError: the NameNode does not respond"


def test_tables_are_not_read_while_hdfs_is_down(platform, find, monkeypatch):
    platform.namenode["FSState"] = "safeMode"
    monkeypatch.setattr(platform, "query", lambda *_: pytest.fail("read"))
    found = find()
    assert [problem.cause for problem in found.problems] == [SERVICE]
    assert found.unchecked == {DUMP: "HDFS is in state safeMode", DRIFTED: "HDFS is in state safeMode"}
