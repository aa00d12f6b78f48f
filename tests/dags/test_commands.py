"""Rendered command lines are equal to the golden file. To update it: `REBUILD_GOLDEN=1 make test-unit`."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest

from vaxpulse_airflow.command import REPOSITORY, CommandOperator, build_options
from vaxpulse_airflow.spark_job import SparkJobOperator
from vaxpulse_dags.assets import TWEETS_RAW

GOLDEN = Path(__file__).with_name("commands.json")
RUN_ID = "manual__2026-11-23T00:00:00+00:00"
XCOMS = {
    "deliver": "june.csv",
    "read_decision": {
        "decision": "approve",
        "reason": "a user's reason",
        "mapping": '{"text": "tweet"}',
        "user": "ann",
    },
    "compare": {"version": "3", "instead_of": None},
    "erase_raw": {"dumps": ["0123", "4567"], "since": "2026-11-01T00:00:00+00:00"},
}


class Events(list):
    """Events of an Asset, as Airflow's `inlet_events`."""

    def ascending(self, is_ascending):
        return Events(sorted(self, key=lambda event: event.timestamp, reverse=not is_ascending))

    def limit(self, number):
        return Events(self[:number])


NO_EVENTS = (Events(), Events())
USER_RUN = SimpleNamespace(triggering_user_name="ann")


def render(text: str, dag, *, dag_run=USER_RUN, inlet_events=NO_EVENTS, **entered) -> str:
    """Render a template with the defaults of the trigger form and values that a user has entered."""
    hashes = dict.fromkeys(("dump_sha256", "header_sha256"), "0123456789abcdef" * 4)
    params = {name: param.value for name, param in dag.params.items()} | hashes | entered
    context = {
        "params": params,
        "run_id": RUN_ID,
        "dag_run": dag_run,
        "dag": dag,
        "ti": SimpleNamespace(xcom_pull=lambda task_ids: XCOMS[task_ids]),
        "inlet_events": inlet_events,
        **(dag.user_defined_macros or {}),
    }
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    return environment.from_string(text).render(context).replace(str(REPOSITORY), "$REPOSITORY")


def build_command(task) -> list[str]:
    if isinstance(task, SparkJobOperator):
        return task._get_hook()._build_spark_submit_command(task.application)
    return [*task.command, *build_options(task.options)]


# Tasks that run one command. The commands of mapped tasks are values that another task computes.
TASKS = [
    "ingest_tweets.load_dumps",
    "review_dump.apply_decision",
    "retract_dump.retract",
    "reopen_dump.reopen",
    "withdraw_mapping.withdraw",
    "clean_tweets.clean_tweets",
    "explore_tweets.explore_tweets",
    "score_tweets.find_model",
    "score_tweets.score_tweets",
    "maintain_tables.maintain_raw",
    "maintain_tables.maintain_clean",
    "maintain_tables.maintain_scored",
    *(f"apply_retention.{what}" for what in ("models", "reports", "scores", "quarantine", "files")),
    *(
        f"erase_tweets.erase_{what}"
        for what in ("raw", "clean", "scored", "mlflow_reports", "mlflow_trainings")
    ),
    "train_classifiers.compare",
    "train_classifiers.promote_baseline",
    "train_classifiers.promote",
    "tune_classifier.tune",
    "cross_validate.summary",
]


def test_golden_file_has_the_commands_of_exactly_these_tasks(dag_bag):
    operators = CommandOperator | SparkJobOperator
    tasks = [task for dag in dag_bag.dags.values() for task in dag.tasks if isinstance(task, operators)]
    assert sorted(json.loads(GOLDEN.read_text())) == sorted(TASKS)
    assert sorted(f"{task.dag_id}.{task.task_id}" for task in tasks) == sorted(TASKS)


@pytest.mark.parametrize("path", TASKS)
def test_command_is_equal_to_the_golden_file(dag_bag, path):
    dag_id, task_id = path.split(".")
    dag = dag_bag.dags[dag_id]
    command = [render(word, dag) for word in build_command(dag.get_task(task_id))]
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("REBUILD_GOLDEN"):
        GOLDEN.write_text(json.dumps(golden | {path: command}, indent=2, sort_keys=True) + "\n")
        pytest.skip("golden file rebuilt because of REBUILD_GOLDEN")
    assert command == golden[path]


def test_loading_is_told_the_time_of_the_latest_event_of_the_table(dag_bag):
    dag = dag_bag.dags["ingest_tweets"]
    load = dag.get_task("load_dumps")
    assert load.inlets[1] == TWEETS_RAW
    events = Events(SimpleNamespace(timestamp=f"2026-11-{day}T10:00:00+00:00") for day in (20, 22, 21))
    [word] = [word for word in build_command(load) if word.startswith("--notified-until")]
    found = render(word, dag, inlet_events=[Events(), events])
    assert found == "--notified-until=2026-11-22T10:00:00+00:00"


def test_arguments_of_spark_jobs_are_templates(dag_bag):
    # Airflow does not render a `{{` in other fields, so the program would receive it.
    assert "application_args" in dag_bag.dags["maintain_tables"].get_task("maintain_raw").template_fields
