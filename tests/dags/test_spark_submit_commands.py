"""The rendered spark-submit commands, word by word. After a wanted change: `REBUILD_GOLDEN=1 make test-unit`."""

import json
import os
import sys
from pathlib import Path

import jinja2
import pytest
from common.defaults import REPOSITORY
from vaxpulse_airflow.spark_job import SparkJobOperator

GOLDEN = Path(__file__).with_name("spark_submit_commands.json")
SHA256 = "0123456789abcdef" * 4
RUN_ID = "manual__2026-11-23T00:00:00+00:00"


def render(text: str, dag) -> str:
    context = {"params": {"retention_hours": 720}, "run_id": RUN_ID, "dag": dag, **(dag.user_defined_macros or {})}
    rendered = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False).from_string(text).render(context)
    return rendered.replace(str(REPOSITORY), "$REPOSITORY")


def task_of(dag_bag, path):
    """The task, a mapped one with the arguments of one dump."""
    dag_id, task_id = path.split(".")
    dag = dag_bag.dags[dag_id]
    task = dag.get_task(task_id)
    if task_id != "load_dump":
        return task
    load_arguments = next(
        module for module in list(sys.modules.values()) if getattr(module, "__file__", None) == dag.fileloc
    ).load_arguments
    settings = {name: value for name, value in task.partial_kwargs.items() if name in ("application", "conf", "name", "durable")}
    return SparkJobOperator(task_id=task_id, application_args=load_arguments(SHA256, "/landing/a dump.csv", RUN_ID), **settings)


@pytest.mark.parametrize(
    "path", ["ingest_tweets.load_dump", "clean_tweets.clean_tweets", "explore_tweets.explore_tweets", "maintain_tables.maintain_tables"]
)
def test_command_is_as_agreed(dag_bag, path):
    task = task_of(dag_bag, path)
    command = [render(word, dag_bag.dags[path.split(".")[0]]) for word in task._get_hook()._build_spark_submit_command(task.application)]
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("REBUILD_GOLDEN"):
        GOLDEN.write_text(json.dumps(golden | {path: command}, indent=2, sort_keys=True) + "\n")
        pytest.skip("golden file rebuilt as asked")
    assert command == golden[path]


def test_every_rendered_field_of_the_operator_is_a_template(dag_bag):
    # A `{{` in a field that Airflow does not render would reach Spark as it stands.
    assert "application_args" in dag_bag.dags["maintain_tables"].get_task("maintain_tables").template_fields
