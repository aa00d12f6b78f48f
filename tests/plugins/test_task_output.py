"""Links to the MLflow run, the Spark application, HDFS and the report of a task. Figures of Asset events."""

import json
import sys
from types import SimpleNamespace

import pytest
from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors

from vaxpulse_airflow.command import CommandOperator
from vaxpulse_airflow.links import HdfsLink, MlflowRunLink, ReportLink, SparkApplicationLink
from vaxpulse_airflow.spark_job import SparkJobOperator

MLFLOW_RUN, SPARK_APPLICATION = MlflowRunLink().xcom_key, SparkApplicationLink().xcom_key
RUN_ID = "0123456789abcdef" * 2
KEY = SimpleNamespace(dag_id="explore_tweets", run_id="manual__2026-11-29T02:11:08+00:00")
RAW = Asset(name="tweets_raw", uri="hdfs://namenode:8020/vaxpulse/tables/tweets_raw")
REPORT = "--report=hdfs://namenode:8020/vaxpulse/reports/explore_tweets/manual__2026-11-29T02.11.08+00.00"


@pytest.fixture
def pushed(monkeypatch):
    """The XComs of a task, and the addresses of the pages."""
    for name, url in (
        ("MLFLOW", "http://mlflow:5000"),
        ("HDFS", "http://namenode:9870/explorer.html#/vaxpulse"),
        ("SPARK", "http://spark:18080/"),
    ):
        monkeypatch.setenv(f"VAXPULSE_{name}_URL", url)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow:8080/")
    return {}


def build_context(pushed, **more):
    def push(key, value):
        pushed[key] = value

    return {"ti": SimpleNamespace(xcom_push=push), "outlet_events": OutletEventAccessors()} | more


def print_lines(*lines):
    """Return the command that prints these lines."""
    return [sys.executable, "-c", f"print({chr(10).join(lines)!r})"]


def run_job(monkeypatch, lines, context, **arguments):
    """Run a Spark job whose output consists of these lines. Return its operator."""
    monkeypatch.setattr(
        SparkSubmitHook, "submit", lambda self, _: self._process_spark_submit_log(iter(lines))
    )
    operator = SparkJobOperator(task_id="job", python_packages=(), **arguments)
    operator.execute(context)
    return operator


def test_link_to_the_mlflow_run_exists_while_the_command_runs(pushed):
    operator = CommandOperator(
        task_id="train", command=print_lines(f"12:00 INFO MLflow run {RUN_ID} of experiment 3", "step 1/9")
    )
    operator.execute(build_context(pushed))
    url = f"http://mlflow:5000/#/experiments/3/runs/{RUN_ID}?workflowType=machine_learning"
    assert pushed == {MLFLOW_RUN: url}
    assert MlflowRunLink().get_link(operator, ti_key=KEY) == url


def test_links_of_a_spark_job_exist_while_it_runs(pushed, monkeypatch):
    lines = ["Spark application local-17644\n", f"MLflow run {RUN_ID} of experiment 2\n"]
    operator = run_job(monkeypatch, lines, build_context(pushed))
    assert pushed[SPARK_APPLICATION] == "http://spark:18080/history/local-17644/jobs/"
    assert f"/runs/{RUN_ID}?" in pushed[MLFLOW_RUN]
    assert SparkApplicationLink().get_link(operator, ti_key=KEY) == pushed[SPARK_APPLICATION]


def test_link_stays_if_the_command_fails(pushed):
    program = f"print('MLflow run {RUN_ID} of experiment 3'); raise SystemExit(99)"
    operator = CommandOperator(task_id="train", command=[sys.executable, "-c", program])
    with pytest.raises(AirflowSkipException):
        operator.execute(build_context(pushed))
    assert MlflowRunLink().get_link(operator, ti_key=KEY)


def test_link_without_a_target_is_empty(pushed, monkeypatch):
    operator = CommandOperator(task_id="a", command=print_lines("no id"))
    links = (MlflowRunLink(), SparkApplicationLink(), HdfsLink(), ReportLink())
    assert [link.get_link(operator, ti_key=KEY) for link in links] == [""] * 4
    operator.execute(build_context(pushed))
    assert [link.get_link(operator, ti_key=KEY) for link in links] == [""] * 4
    monkeypatch.delenv("VAXPULSE_MLFLOW_URL")
    assert MlflowRunLink().build_url({"run": RUN_ID, "experiment": "1"}) == ""


@pytest.mark.parametrize(
    ("command", "outlets", "path"),
    [
        (["--tweets-clean=hdfs://namenode:8020/vaxpulse/tables/tweets_clean"], [RAW], "tables/tweets_raw"),
        (
            ["--tweets-clean=hdfs://namenode:8020/vaxpulse/tables/tweets_clean", REPORT],
            [Asset(name="models", uri="vaxpulse://mlflow/models")],
            "reports/explore_tweets/manual__2026-11-29T02.11.08%2B00.00",
        ),
        (["--tables=hdfs://namenode:8020/vaxpulse/tables/dumps,hdfs://namenode:8020/b"], [], "tables/dumps"),
    ],
)
def test_hdfs_link_shows_the_folder_that_the_task_writes(pushed, command, outlets, path):
    operator = CommandOperator(task_id="a", command=command, outlets=outlets)
    url = f"http://namenode:9870/explorer.html#/vaxpulse/{path}"
    assert HdfsLink().get_link(operator, ti_key=KEY) == url
    job = SparkJobOperator(task_id="b", python_packages=(), application_args=command, outlets=outlets)
    assert HdfsLink().get_link(job, ti_key=KEY) == url


def test_report_link_exists_after_the_task_has_written_the_report(pushed, monkeypatch):
    address = (
        "http://airflow:8080/dags/explore_tweets/runs/manual__2026-11-29T02%3A11%3A08%2B00%3A00/plugin/report"
    )
    operator = run_job(monkeypatch, [], build_context(pushed), application_args=[REPORT])
    assert ReportLink().get_link(operator, ti_key=KEY) == address
    for command, expected in ((["true", REPORT], address), (["true"], "")):
        operator = CommandOperator(task_id="a", command=command)
        assert ReportLink().get_link(operator, ti_key=KEY) == ""
        operator.execute(build_context(pushed))
        assert ReportLink().get_link(operator, ti_key=KEY) == expected


def test_event_of_an_asset_has_the_figures_of_the_command(pushed):
    event = {"rows": 3, "version": 7, "dumps": ["a"]}
    context = build_context(pushed)
    line = json.dumps({"job": "load_dumps", "asset_event": event})
    command = print_lines("a", line)
    assert CommandOperator(task_id="a", command=command, outlets=[RAW], returns_json=True).execute(context)
    assert context["outlet_events"][RAW].extra == event


def test_event_names_the_dumps_of_the_events_that_triggered_the_run(pushed, monkeypatch):
    triggers = [SimpleNamespace(extra=extra) for extra in ({"dumps": ["b"]}, {"dumps": ["a", "b"]}, {})]
    context = build_context(pushed, triggering_asset_events={RAW: triggers})
    lines = [json.dumps({"asset_event": {"rows": 5, "version": 2}}), "a warning after it"]
    run_job(monkeypatch, lines, context, outlets=[RAW])
    assert context["outlet_events"][RAW].extra == {"rows": 5, "version": 2, "dumps": ["a", "b"]}


def test_command_without_figures_leaves_the_event_empty(pushed):
    context = build_context(pushed)
    CommandOperator(task_id="a", command=print_lines("done"), outlets=[RAW]).execute(context)
    assert context["outlet_events"][RAW].extra == {}
