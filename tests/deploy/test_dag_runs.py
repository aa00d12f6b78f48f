"""Following a run and all triggered runs, with a simulated REST API of Airflow."""

import json
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from deploy.common import dag_runs
from deploy.common.airflow_api import AirflowApi
from deploy.common.dag_runs import RunFailed, follow
from deploy.embedded.settings import DEFAULT_PORTS, Settings

CREATED_AFTER_POLLS = 2  # the scheduler creates a triggered run some time after the Asset update


class SimulatedAirflow(requests.adapters.BaseAdapter):
    """Airflow's REST API with given results of runs.

    Each run has one task, `work`, that updates the Asset `<dag_id>_done`. `states` has the state of each
    DAG's task, `after` the DAGs that are scheduled on each DAG's Asset. A triggered run is created after
    CREATED_AFTER_POLLS requests, and is queued first.
    """

    def __init__(self, states, after=(), log=(), paused=()):
        super().__init__()
        self.states, self.after, self.log, self.paused = states, dict(after), list(log), list(paused)
        self.runs = {("a", "1"): {"run_after": 0, "polls": 0, "triggered_by": None}}
        self.polls_for_runs = {}

    def send(self, request, **_):
        url = urlsplit(request.url)
        status, content = self.respond(url.path, parse_qs(url.query))
        response = requests.Response()
        response.status_code, response._content, response.url = (
            status,
            json.dumps(content).encode(),
            request.url,
        )
        return response

    def close(self):
        pass

    def respond(self, path, query):
        match path.strip("/").split("/"):
            case ["auth", "token"]:
                return 201, {"access_token": "t"}
            case ["api", "v2", "assets", "events"]:
                queued = [run for run in self.runs if self.state(*run) == "queued"]
                return (500, {"detail": "Internal Server Error"}) if queued else (200, {"asset_events": []})
            case ["api", "v2", "assets"]:
                [dag_id] = query["dag_ids"]
                dags = [dag_id, *(dag for dag, after in self.after.items() if dag_id in after)]
                return 200, {"assets": [self.asset(dag) for dag in dags if dag in self.after]}
            case ["api", "v2", "dags"]:
                assert query["paused"] == ["true"]
                return 200, {"dags": [{"dag_id": dag} for dag in self.paused]}
            case ["api", "v2", "dags", dag_id, "dagRuns"]:
                return 200, {"dag_runs": self.runs_of(dag_id, query)}
            case ["api", "v2", "dags", dag_id, "dagRuns", run_id]:
                self.runs[dag_id, run_id]["polls"] += 1
                return 200, {"state": self.state(dag_id, run_id)}
            case ["api", "v2", "dags", dag_id, "dagRuns", run_id, "taskInstances"]:
                return 200, {"task_instances": [self.task(dag_id, run_id)]}
            case ["api", "v2", "dags", _, "dagRuns", _, "taskInstances", "work", "logs", _]:
                return 200, {"content": [{"event": line} for line in self.log]}
        raise AssertionError(f"unexpected request of {path}")

    def state(self, dag_id, run_id):
        if self.runs[dag_id, run_id]["polls"] < 1:
            return "queued"
        return "failed" if self.states[dag_id] == "failed" else "success"

    def task(self, dag_id, run_id):
        ended = self.state(dag_id, run_id) != "queued"
        return {
            "task_id": "work",
            "state": self.states[dag_id] if ended else None,
            "try_number": int(ended),
            "map_index": -1,
            "start_date": self.moment(self.runs[dag_id, run_id]["run_after"]) if ended else None,
            "end_date": self.moment(self.runs[dag_id, run_id]["run_after"] + 1) if ended else None,
        }

    def moment(self, second):
        return f"2026-11-24T12:00:{second:02}Z"

    def asset(self, dag_id):
        return {
            "name": f"{dag_id}_done",
            "producing_tasks": [{"dag_id": dag_id, "task_id": "work"}],
            "scheduled_dags": [{"dag_id": dag} for dag in self.after[dag_id]],
        }

    def runs_of(self, dag_id, query):
        """Return the first runs that Assets triggered since a time. Create those that are due."""
        assert query["run_type"] == ["asset_triggered"]
        assert query["order_by"] == ["run_after"]
        [since], [limit] = query["run_after_gte"], query["limit"]
        for cause in [run for run in self.runs if dag_id in self.after.get(run[0], ())]:
            self.polls_for_runs[dag_id, cause] = self.polls_for_runs.get((dag_id, cause), 0) + 1
            made = any(
                run[0] == dag_id and facts["triggered_by"] == cause for run, facts in self.runs.items()
            )
            if (
                self.task(*cause)["state"] == "success"
                and not made
                and self.polls_for_runs[dag_id, cause] > CREATED_AFTER_POLLS
            ):
                # The event is a second later than the end of the task.
                second = self.runs[cause]["run_after"] + 2
                self.runs[dag_id, f"asset_{cause[0]}"] = {
                    "run_after": second,
                    "polls": 0,
                    "triggered_by": cause,
                }
        found = [
            (run, facts["run_after"])
            for run, facts in self.runs.items()
            if run[0] == dag_id and facts["triggered_by"]
        ]
        since_then = [run for run in sorted(found, key=lambda run: run[1]) if self.moment(run[1]) >= since]
        return [{"dag_run_id": run[0][1]} for run in since_then[: int(limit)]]


@pytest.fixture
def airflow(monkeypatch, tmp_path):
    """Connect the client to a simulation."""
    monkeypatch.setattr(dag_runs, "POLL_SECONDS", 0)

    def connect(script):
        monkeypatch.setattr(requests.Session, "get_adapter", lambda self, url: script)
        return AirflowApi(Settings(tmp_path, DEFAULT_PORTS))

    return connect


@pytest.fixture
def shown():
    """The titles and states of the reported steps."""
    seen = []

    @contextmanager
    def step(title):
        seen.append(title)
        yield lambda state: seen.append(f"  {state}")

    return seen, step


def test_every_triggered_run_is_followed_once_and_queued_runs_are_awaited(airflow, shown):
    # One run of d consumes the updates of b and c.
    api = airflow(
        SimulatedAirflow(dict.fromkeys("abcd", "success"), {"a": ["b", "c"], "b": ["d"], "c": ["d"]})
    )
    assert [(run.dag_id, run.skipped) for run in follow(api, "a", "1", shown[1])] == [
        (dag, False) for dag in "abcd"
    ]
    assert [line for line in shown[0] if not line.startswith(" ")] == ["a", "b", "c", "d"]


def test_follow_needs_no_asset_events_which_fail_while_a_run_is_queued(airflow, shown):
    script = SimulatedAirflow(dict.fromkeys("abc", "success"), {"a": ["b"], "b": ["c"]})
    api = airflow(script)
    script.runs["b", "of another"] = {
        "run_after": 0,
        "polls": 0,
        "triggered_by": ("z", "0"),
    }  # queued before, and still queued
    assert script.respond("/api/v2/assets/events", {})[0] == 500
    assert [(run.dag_id, run.run_id) for run in follow(api, "a", "1", shown[1])] == [
        ("a", "1"),
        ("b", "asset_a"),
        ("c", "asset_b"),
    ]


def test_paused_dag_is_not_awaited(airflow, shown):
    script = SimulatedAirflow(dict.fromkeys("abc", "success"), {"a": ["b", "c"]}, paused="b")
    assert [run.dag_id for run in follow(airflow(script), "a", "1", shown[1])] == ["a", "c"]
    assert not [dag_id for dag_id, _ in script.polls_for_runs if dag_id == "b"]


def test_error_of_a_failed_run_contains_task_message_and_log(airflow, shown):
    api = airflow(
        SimulatedAirflow({"a": "failed"}, log=["starting", "error: the dump has no column safe_text", "bye"])
    )
    with pytest.raises(
        RunFailed,
        match=r"a\.work failed: error: the dump has no column safe_text\n.*http://127.0.0.1:8080/dags/a/runs/1/tasks/work",
    ):
        follow(api, "a", "1", shown[1])


def test_run_that_updated_no_asset_is_skipped_and_has_a_note(airflow, shown):
    api = airflow(
        SimulatedAirflow(
            {"a": "skipped", "b": "success"},
            {"a": ["b"]},
            log=["12:00 INFO skipped: nothing to train", "exit 99"],
        )
    )
    [run] = follow(api, "a", "1", shown[1])
    assert run.skipped
    assert run.notes == ["nothing to train"]


def test_run_of_a_dag_without_assets_is_not_skipped(airflow, shown):
    [run] = follow(airflow(SimulatedAirflow({"a": "success"})), "a", "1", shown[1])
    assert not run.skipped
    assert run.notes == []
