"""The output of `make run`: a few lines per step, a bar in a terminal, the newest answer first."""

import io
import json
import re
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from rich.console import Console

from deploy.common import dag_runs, steps
from deploy.common.airflow_api import AirflowApi
from deploy.embedded import results
from deploy.embedded.progress import Progress
from deploy.embedded.results import OVERVIEW_PATH, FirstScores, find_answer, print_addresses, print_answer
from deploy.embedded.settings import DEFAULT_PORTS, Settings

TRAINING = "train running: step {}/686  epoch 0.15/2  loss 0.7332  4 samples/s  42 min 42 s left"
AIRFLOW = f"http://127.0.0.1:{DEFAULT_PORTS['airflow']}"
RUN_ID = "asset_triggered__2026-11-29T02:11:08+00:00"


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the test advances."""
    now = [0.0]
    for module in (steps, results):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def open_terminal(width=120):
    """Return a console that believes that it is a terminal."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False, soft_wrap=True)
    console._color_system = None  # the rest of a bar is blank
    return console


def test_short_step_prints_two_lines(clock, capsys):
    with steps.step("ingest_tweets") as report:
        for second in range(43):
            clock[0] = float(second)
            report(f"load_dumps running, second {second}")
    assert capsys.readouterr().out == "… ingest_tweets\n✓ ingest_tweets  42.0 s\n"


def test_long_step_prints_at_most_one_line_a_minute(clock, capsys):
    with steps.step("train_classifiers") as report:
        for second in range(0, 600, 5):
            clock[0] = float(second)
            report(TRAINING.format(second))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 9
    assert lines[1] == f"       60 s  {TRAINING.format(60)}"


def test_state_that_did_not_change_is_not_printed_again(clock, capsys):
    with steps.step("train_classifiers") as report:
        for second in range(600):
            clock[0] = float(second)
            report("train running")
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize("width", [120, 60])
def test_terminal_shows_a_bar_on_one_line_and_keeps_only_the_end(width):
    terminal = open_terminal(width)
    with Progress(terminal).step("train_classifiers") as report:
        report("plan running")
        report(TRAINING.format(343))
    output = terminal.file.getvalue()
    frames = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", frame) for frame in re.split(r"[\r\n]+", output)]
    assert max(map(len, frames)) <= width
    assert all("train_classifiers" in frame for frame in frames if frame)
    [*_, shown] = [frame for frame in frames if "━" in frame]
    assert re.search("train_classifiers ━{10} {10} [0-9:]+ step 343", shown)  # half of the bar is filled
    assert "\x1b[1A\x1b[2K" in output  # the bar is erased
    assert frames[-2].startswith("✓ train_classifiers  ")


def test_terminal_shows_the_time_that_a_training_still_takes():
    terminal = open_terminal(100)
    with Progress(terminal).step("train_classifiers") as report:
        report(TRAINING.format(343))
    assert "step 343/686, 42 min 42 s left" in terminal.file.getvalue()


def test_line_above_the_bar_stays():
    terminal = open_terminal()
    with Progress(terminal).step("train_classifiers"):
        terminal.print("First scores: http://airflow")
    assert "First scores: http://airflow\n" in terminal.file.getvalue()


def test_seconds_of_several_runs_of_a_dag_are_added():
    progress = Progress(Console(file=io.StringIO()))
    progress.seconds["score_tweets"] = 5
    with progress.step("score_tweets"):
        pass
    assert 5 <= progress.seconds["score_tweets"] < 6


class SimulatedAirflow(requests.adapters.BaseAdapter):
    """Runs with a success of the task with the DAG's name: (DAG, start, run id). Pages of plugins by path."""

    def __init__(self, runs=(), pages=()):
        super().__init__()
        self.runs, self.pages, self.requests = list(runs), dict(pages), 0

    def close(self):
        pass

    def send(self, request, **_):
        url = urlsplit(request.url)
        response = requests.Response()
        response.status_code, response.url, content = 200, request.url, None
        if url.path == "/auth/token":
            content = {"access_token": "t"}
        elif found := re.fullmatch(r"/api/v2/dags/(\w+)/dagRuns/~/taskInstances", url.path):
            self.requests += 1
            content = {"task_instances": self.find(found[1], parse_qs(url.query))}
        response._content = json.dumps(content).encode() if content else self.page(url.path, response)
        return response

    def find(self, dag_id, query):
        assert (query["task_id"], query["state"], query["limit"]) == ([dag_id], ["success"], ["1"])
        [since] = query.get("start_date_gte", [""])
        runs = sorted((start, run) for dag, start, run in self.runs if dag == dag_id and start >= since)
        chosen = {"start_date": runs[:1], "-start_date": runs[-1:]}[query["order_by"][0]]
        return [{"dag_run_id": run} for _, run in chosen]

    def page(self, path, response):
        if path not in self.pages:
            response.status_code = 404
        return self.pages.get(path, "Not Found").encode()


@pytest.fixture
def connect(monkeypatch, tmp_path):
    """Return a function that connects a client to a simulation."""

    def connect(simulation):
        monkeypatch.setattr(requests.Session, "get_adapter", lambda self, url: simulation)
        return AirflowApi(Settings(tmp_path, DEFAULT_PORTS))

    return connect


def report_of(dag_id, run_id):
    return f"{AIRFLOW}/dags/{dag_id}/runs/{run_id}/plugin/report"


def test_answer_is_the_overview_if_a_plugin_serves_it(connect):
    airflow = SimulatedAirflow([("score_tweets", "2", "new")], {OVERVIEW_PATH: "<title>Overview</title>"})
    assert find_answer(connect(airflow))[0] == AIRFLOW + OVERVIEW_PATH


@pytest.mark.parametrize("pages", [{}, {OVERVIEW_PATH: '<div id="root" style="height: 100%"></div>'}])
def test_answer_is_the_newest_report_with_scores_otherwise(connect, pages):
    runs = [("score_tweets", "1", "old"), ("score_tweets", "2", "new"), ("explore_tweets", "3", "a")]
    assert find_answer(connect(SimulatedAirflow(runs, pages)))[0] == report_of("score_tweets", "new")


def test_answer_is_the_exploration_without_scores(connect):
    airflow = SimulatedAirflow([("explore_tweets", "3", "a")])
    assert find_answer(connect(airflow))[0] == report_of("explore_tweets", "a")


def test_answer_is_the_first_line_and_its_url_is_not_cut(connect):
    console = Console(file=io.StringIO(), width=40)
    print_answer(connect(SimulatedAirflow([("score_tweets", "1", RUN_ID)])), console)
    address = report_of("score_tweets", RUN_ID.replace(":", "%3A").replace("+", "%2B"))
    assert console.file.getvalue().strip().splitlines()[0].startswith(f"Answer   {address}  (")
    print_answer(connect(SimulatedAirflow()), console)
    assert console.file.getvalue().count("Answer") == 1


def test_printed_address_of_mlflow_opens_its_pages_about_trained_models(tmp_path):
    console = Console(file=io.StringIO(), width=40)
    settings = Settings(tmp_path, dict(DEFAULT_PORTS))
    print_addresses(settings, console)
    address = f"{settings.url('mlflow')}/#/experiments?workflowType=machine_learning"
    assert f"MLflow   {address}  (runs, models, datasets)\n" in console.file.getvalue()


def test_first_scores_are_printed_once_as_soon_as_they_exist(connect, clock):
    console = Console(file=io.StringIO(), width=200, soft_wrap=True)
    airflow = SimulatedAirflow([("score_tweets", "2026-11-28", "of yesterday")])
    scores = FirstScores(connect(airflow), console, since="2026-11-29")
    scores.look()
    assert console.file.getvalue() == ""
    airflow.runs += [("score_tweets", "2026-11-29", "first"), ("score_tweets", "2026-11-30", "second")]
    for second in range(100):
        clock[0] = float(second)
        scores.look()
    assert console.file.getvalue() == f"First scores: {report_of('score_tweets', 'first')}\n"
    assert airflow.requests == 2  # none in the first five seconds, none after the line


class Training:
    """A run of train_classifiers with three polls, and a run of score_tweets that ends meanwhile."""

    url = AIRFLOW

    def __init__(self):
        self.polls = 0

    def run(self, dag_id, run_id):
        self.polls += 1
        return {"state": "success" if self.polls == 3 else "running"}

    def tasks(self, dag_id, run_id):
        return [
            {"task_id": "plan", "state": "success"},
            {"task_id": "train", "state": "running"},
            {"task_id": "compare", "state": None},
        ]

    def log_lines(self, dag_id, run_id, task):
        return ["12:00 INFO step 50/686  epoch 0.15/2", "a warning"]


def test_other_runs_are_looked_at_during_a_training(monkeypatch):
    monkeypatch.setattr(dag_runs, "POLL_SECONDS", 0)
    seen = []
    dag_runs.wait_for_run(Training(), "train_classifiers", "1", seen.append, lambda: seen.append("look"))
    state = "train running: step 50/686  epoch 0.15/2"
    assert seen == [state, "look"] * 3
