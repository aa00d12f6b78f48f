"""`make run` and `make status`."""

import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from contracts.tables import TABLES
from deploy.common import summary
from deploy.common.errors import CommandError
from deploy.embedded import run, status
from deploy.embedded.settings import DEFAULT_PORTS, Settings
from monitoring.problems import Findings, Problem


@pytest.mark.parametrize(
    ("supervised", "problem", "state"),
    [
        ("RUNNING", "", "healthy"),
        ("RUNNING", "does not respond", "does not respond"),
        # A restarted DataNode responds after 1 s, and supervisor reports RUNNING after 3 s.
        ("STARTING", "", "healthy"),
        ("STARTING", "does not respond", "does not respond"),
        # Another program may use the port of a stopped service.
        ("STOPPED", "", "stopped"),
        ("BACKOFF", "", "backoff"),
    ],
)
def test_service_is_healthy_if_it_responds(monkeypatch, supervised, problem, state):
    monkeypatch.setattr(
        status, "SERVICES", {"datanode": SimpleNamespace(health_problem=lambda settings: problem)}
    )
    assert status.service_state(None, "datanode", supervised) == state


def test_times_are_in_the_local_time_zone(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Zurich")
    time.tzset()
    try:
        assert status.local_time("2026-07-01T22:31:24.123456Z") == "2026-07-02 00:31:24"
        assert status.local_time(None) == ""
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("sources", "is_chosen"),
    [
        (None, True),  # no table yet
        (["sample-2000.csv"], True),  # an interrupted run is continued
        (["june.csv"], False),
        (["sample-2000.csv", "https://example.org/july.csv"], False),
    ],
)
def test_invented_tweets_are_not_added_to_delivered_dumps(monkeypatch, tmp_path, sources, is_chosen):
    monkeypatch.setattr(summary, "open_table", lambda _, name: sources)
    monkeypatch.setattr(summary, "query", lambda table, sql: [{"source": source} for source in table])
    chosen = run.choose_sample(Settings(tmp_path, dict(DEFAULT_PORTS)))
    assert chosen == (str(tmp_path / "sample" / "sample-2000.csv") if is_chosen else None)


def test_status_shows_every_table(monkeypatch):
    monkeypatch.setattr(summary, "open_table", lambda _, name: name)
    monkeypatch.setattr(summary, "query", lambda name, sql: [{"rows": len(name)}])
    assert summary.row_counts(None) == {table.name: len(table.name) for table in TABLES}
    assert "drift" in summary.row_counts(None)


def test_status_lists_the_problems_that_the_watching_dag_reports(monkeypatch, tmp_path, capsys):
    found = Findings(
        [
            Problem(
                "dump", "dump a", "Dump june.csv is held", "Approve or reject it.", "http://airflow/actions"
            )
        ],
        {"drift": "HDFS is in state safeMode"},
    )
    called = []
    monkeypatch.setattr(status, "find_problems", lambda *arguments: called.append(arguments) or found)
    settings = Settings(tmp_path, dict(DEFAULT_PORTS))
    problems = status.read_problems(settings)
    assert problems == {
        "problems": [
            {
                "cause": "dump",
                "key": "dump a",
                "title": "Dump june.csv is held",
                "advice": "Approve or reject it.",
                "link": "http://airflow/actions",
            }
        ],
        "unchecked": {"drift": "HDFS is in state safeMode"},
    }
    assert called[0][0] == settings.watched
    rest = {"services": {}, "dags": {}, "tables": {}, "champion": None}
    status.print_status(Console(width=200), problems | rest)
    shown = capsys.readouterr().out
    assert "Dump june.csv is held\n  Approve or reject it. http://airflow/actions" in shown
    assert "not checked: drift: HDFS is in state safeMode" in shown


@pytest.fixture
def stopped(monkeypatch):
    monkeypatch.setattr(run.supervision, "stop", lambda _: None)


def test_clean_does_not_delete_a_folder_that_is_no_platform(tmp_path, stopped):
    settings = Settings(tmp_path, dict(DEFAULT_PORTS))
    settings.folder("run")  # of the command's lock
    assert run.clean(settings, confirmed=True) == 0
    (tmp_path / "thesis").mkdir()
    with pytest.raises(CommandError, match=r"is not the folder of a platform \(it contains thesis\)"):
        run.clean(settings, confirmed=True)
    assert (tmp_path / "thesis").exists()


def test_clean_deletes_a_platform(tmp_path, stopped):
    settings = Settings(tmp_path / "home", dict(DEFAULT_PORTS))
    settings.folder("run")
    settings.save()
    assert run.clean(settings, confirmed=True) == 0
    assert not settings.home.exists()


def test_logs_before_the_first_start_are_an_error(tmp_path):
    with pytest.raises(CommandError, match="there are no logs"):
        run.logs(Settings(tmp_path, dict(DEFAULT_PORTS)), None)
