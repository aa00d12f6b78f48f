"""OpenLineage events of the project's operators, built by Airflow's provider. They are off by default."""

import json
from types import SimpleNamespace

import pytest
from airflow.providers.openlineage import conf
from airflow.providers.openlineage.extractors.manager import ExtractorManager
from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter
from airflow.sdk import Asset
from airflow.utils.state import TaskInstanceState
from openlineage.client import OpenLineageClient

from deploy.embedded.settings import common_environment
from vaxpulse_airflow.command import CommandOperator
from vaxpulse_airflow.spark_job import SparkJobOperator

CLEAN = Asset(name="tweets_clean", uri="hdfs://namenode:8020/vaxpulse/tables/tweets_clean")
SCORED = Asset(name="tweets_scored", uri="hdfs://namenode:8020/vaxpulse/tables/tweets_scored")
MODELS = Asset(name="models", uri="vaxpulse://mlflow/models")
DATASETS = {"inlets": [CLEAN, MODELS], "outlets": [SCORED]}
OPERATORS = {
    "command": lambda: CommandOperator(task_id="score", command=["true"], **DATASETS),
    "spark": lambda: SparkJobOperator(task_id="score", application="a.py", python_packages=(), **DATASETS),
}


def extract(operator, state=TaskInstanceState.SUCCESS):
    """Return the datasets that the provider's listener would send at the end of a task."""
    run = SimpleNamespace(run_id="manual__1")
    return ExtractorManager().extract_metadata(run, operator, state, None)


@pytest.mark.parametrize("kind", OPERATORS)
def test_inlets_and_outlets_are_datasets_with_version_and_rows(kind, tmp_path):
    operator = OPERATORS[kind]()
    operator.output_lines = SimpleNamespace(event={"rows": 12, "version": 7}, urls={})
    file = tmp_path / "events.jsonl"
    client = OpenLineageClient(
        config={"transport": {"type": "file", "log_file_path": str(file), "append": True}}
    )
    OpenLineageAdapter(client).complete_task(
        run_id="01900000-0000-7000-8000-000000000000",
        job_name="score_tweets.score",
        end_time="2026-11-30T07:00:00+00:00",
        task=extract(operator),
        nominal_start_time=None,
        nominal_end_time=None,
        owners=["vaxpulse"],
        tags=None,
        job_description=None,
    )
    event = json.loads(file.read_text())
    assert event["eventType"] == "COMPLETE"
    assert [(each["namespace"], each["name"]) for each in event["inputs"]] == [
        ("hdfs://namenode:8020", "/vaxpulse/tables/tweets_clean"),
        ("vaxpulse://mlflow", "/models"),
    ]
    [output] = event["outputs"]
    assert (output["namespace"], output["name"]) == (
        "hdfs://namenode:8020",
        "/vaxpulse/tables/tweets_scored",
    )
    assert output["facets"]["version"]["datasetVersion"] == "7"
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 12


@pytest.mark.parametrize("kind", OPERATORS)
def test_task_that_has_failed_has_datasets_without_figures(kind):
    [output] = extract(OPERATORS[kind](), TaskInstanceState.FAILED).outputs
    assert (output.facets, output.outputFacets) == ({}, {})


def test_no_event_is_sent_by_default(monkeypatch):
    for name, value in common_environment().items():
        monkeypatch.setenv(name, value)
    assert conf.is_disabled()
