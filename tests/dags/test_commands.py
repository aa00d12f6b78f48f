"""The rendered command lines that start jobs and loaders, word by word. After a wanted change: `REBUILD_GOLDEN=1 make test-unit`."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest
from common.defaults import REPOSITORY
from vaxpulse_airflow.spark_job import SparkJobOperator

GOLDEN = Path(__file__).with_name("commands.json")
RUN_ID = "manual__2026-11-23T00:00:00+00:00"
ANSWER = {"decision": "pass", "reason": "somebody's words", "version": "3", "instead_of": None}


def render(text: str, dag) -> str:
    params = {name: param.value for name, param in dag.params.items() if param.value is not None} | {
        "dump_sha256": "0123456789abcdef" * 4
    }
    ti = SimpleNamespace(xcom_pull=lambda task_ids: ANSWER)
    context = {
        "params": params,
        "run_id": RUN_ID,
        "dag": dag,
        "ti": ti,
        "prev_end_date_success": None,
        **(dag.user_defined_macros or {}),
    }
    rendered = (
        jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
        .from_string(text)
        .render(context)
    )
    return rendered.replace(str(REPOSITORY), "$REPOSITORY")


def command_of(task) -> list[str]:
    if isinstance(task, SparkJobOperator):
        return task._get_hook()._build_spark_submit_command(task.application)
    return task.bash_command.split(" ")


@pytest.mark.parametrize(
    "path",
    [
        "ingest_tweets.load_dumps",
        "review_dump.carry_out",
        "retract_dump.retract",
        "clean_tweets.clean_tweets",
        "explore_tweets.explore_tweets",
        "score_tweets.score_tweets",
        "maintain_tables.maintain_tables",
        "train_classifiers.compare",
        "train_classifiers.promote",
        "tune_classifier.tune",
        "cross_validate.summary",
    ],
)
def test_command_is_as_agreed(dag_bag, path):
    dag_id, task_id = path.split(".")
    dag = dag_bag.dags[dag_id]
    command = render("\n".join(command_of(dag.get_task(task_id))), dag).split("\n")
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("REBUILD_GOLDEN"):
        GOLDEN.write_text(json.dumps(golden | {path: command}, indent=2, sort_keys=True) + "\n")
        pytest.skip("golden file rebuilt as asked")
    assert command == golden[path]


def test_every_rendered_field_of_the_operators_is_a_template(dag_bag):
    # A `{{` in a field that Airflow does not render would reach the program as it stands.
    assert "application_args" in dag_bag.dags["maintain_tables"].get_task("maintain_tables").template_fields
    assert {"bash_command", "env"} <= set(
        dag_bag.dags["ingest_tweets"].get_task("load_dumps").template_fields
    )
