"""Following a run and all that it causes, against an Airflow that answers as the real one does."""

from contextlib import contextmanager

import pytest

from deploy.embedded import follow as module
from deploy.embedded.follow import RunFailed, follow


class ScriptedAirflow:
    """Answers from a script: which runs end how, and what each causes."""

    url = "http://airflow"

    def __init__(self, states, caused=(), log=()):
        self.states, self.caused, self.log = states, dict(caused), list(log)

    def run(self, dag_id, run_id):
        return {"state": self.states[dag_id]}

    def tasks(self, dag_id, run_id):
        return [{"task_id": "load", "state": self.states[dag_id], "try_number": 1, "map_index": -1}]

    def runs_caused_by(self, dag_id, run_id):
        return self.caused.get(dag_id, [])

    def changed_assets(self, dag_id, run_id):
        return {dag_id} if dag_id in self.caused else set()

    def dags_after(self, asset):
        return {dag for dag, _ in self.caused[asset]}

    def log_lines(self, dag_id, run_id, task):
        return self.log


@pytest.fixture
def shown():
    """What a person would see: the titles of steps and the details told in them."""
    seen = []

    @contextmanager
    def step(title):
        seen.append(title)
        yield seen.append

    return seen, step


def test_every_caused_run_is_followed_once(shown):
    api = ScriptedAirflow({"a": "success", "b": "success", "c": "success"}, {"a": [("b", "1"), ("c", "1")], "b": [("c", "1")]})
    assert [run.dag_id for run in follow(api, "a", "1", shown[1])] == ["a", "b", "c"]
    assert shown[0][::2] == ["a", "b", "c"]


def test_failed_run_names_task_message_and_log(shown):
    api = ScriptedAirflow({"a": "failed"}, log=["starting", "error: the dump has no column safe_text", "bye"])
    with pytest.raises(
        RunFailed, match=r"a\.load failed: error: the dump has no column safe_text\n.*http://airflow/dags/a/runs/1/tasks/load"
    ):
        follow(api, "a", "1", shown[1])


def test_run_that_found_nothing_to_do_is_told_apart(shown):
    api = ScriptedAirflow({"a": "success"})
    api.tasks = lambda *_: [{"task_id": "load", "state": "skipped"}]
    [run] = follow(api, "a", "1", shown[1])
    assert run.skipped


def test_run_that_airflow_has_not_made_yet_is_waited_for(shown, monkeypatch):
    api = ScriptedAirflow({"a": "success", "b": "success"}, {"a": [("b", "1")]})
    answers = [[], [], [("b", "1")], []]
    api.runs_caused_by = lambda *_: answers.pop(0)
    monkeypatch.setattr(module, "POLL_SECONDS", 0)
    assert [run.dag_id for run in follow(api, "a", "1", shown[1])] == ["a", "b"]
