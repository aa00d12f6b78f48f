"""House rules for every DAG, and the exact set of them."""

import json
from pathlib import Path

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from common.defaults import REPOSITORY
from vaxpulse_airflow.spark_job import SparkJobOperator


def test_every_dag_file_is_read_without_error(dag_bag):
    assert dag_bag.import_errors == {}


def test_these_are_the_dags(dag_bag):
    assert set(dag_bag.dags) == {
        "ingest_tweets",
        "review_dump",
        "retract_dump",
        "clean_tweets",
        "explore_tweets",
        "train_classifiers",
        "tune_classifier",
        "cross_validate",
        "score_tweets",
        "maintain_tables",
    }


def test_every_task_has_an_owner_retries_and_a_time_limit(dag_bag):
    tasks = [task for dag in dag_bag.dags.values() for task in dag.tasks]
    assert tasks
    for task in tasks:
        assert task.owner == "vaxpulse", task
        loads = "-m loading." in str(getattr(task, "bash_command", ""))
        assert task.retries == (3 if loads else 2), task
        # A person may take days.
        assert bool(task.execution_timeout) != isinstance(task, HITLOperator), task


def test_every_dag_says_what_when_needs_and_what_to_do_if_it_fails(dag_bag):
    for dag in dag_bag.dags.values():
        for heading in ("**What.**", "**When.**", "**Needs.**", "**If it fails.**"):
            assert heading in dag.doc_md, (dag.dag_id, heading)


def test_one_run_of_a_dag_at_a_time(dag_bag):
    # Held dumps wait for a person side by side.
    assert [dag_id for dag_id, dag in dag_bag.dags.items() if dag.max_active_runs != 1] == ["review_dump"]


def test_whatever_writes_the_tables_takes_turns_and_what_runs_seldom_goes_first(dag_bag):
    tasks = {f"{dag_id}.{task.task_id}": task for dag_id, dag in dag_bag.dags.items() for task in dag.tasks}
    writers = {name: task.priority_weight for name, task in tasks.items() if task.pool == "delta_writer"}
    # Not those of the tasks behind it on top.
    assert {tasks[name].weight_rule for name in writers} == {"absolute"}
    assert writers == {
        "ingest_tweets.load_dumps": 1,
        "clean_tweets.clean_tweets": 2,
        "score_tweets.score_tweets": 3,
        "review_dump.carry_out": 4,
        "retract_dump.retract": 4,
        "maintain_tables.maintain_tables": 4,
    }
    # What says that it has changed a table has written it.
    tables = {"tweets_raw", "tweets_clean", "tweets_scored"}
    assert {
        name for name, task in tasks.items() if tables & {outlet.name for outlet in task.outlets}
    } <= writers.keys()


def test_training_takes_its_turn_on_the_device_on_a_worker_that_has_one(dag_bag):
    tasks = [task for dag in dag_bag.dags.values() for task in dag.tasks]
    on_device = [task for task in tasks if task.task_id in ("train", "tune", "fold")]
    assert len(on_device) == 3
    assert {(task.pool, task.queue) for task in on_device} == {("gpu", "gpu")}
    # What imports the room training/ without a device.
    beside = [
        task
        for task in tasks
        if "-m training." in str(getattr(task, "bash_command", "")) and task not in on_device
    ]
    assert {task.task_id for task in beside} == {"compare", "promote", "summary"}
    assert {(task.pool, task.queue) for task in beside} == {("default_pool", "gpu")}
    assert {(task.pool, task.queue) for task in tasks if task not in on_device + beside} == {
        ("delta_writer", "default"),
        ("default_pool", "default"),
    }


def test_every_pool_is_made_by_the_deployment_and_nobody_waits_in_one_for_something_else(dag_bag):
    pools = json.loads((REPOSITORY / "deploy" / "conf" / "pools.json").read_text())
    assert {task.pool for dag in dag_bag.dags.values() for task in dag.tasks} == {*pools, "default_pool"}
    assert {name: pool["slots"] for name, pool in pools.items()} == {"delta_writer": 1, "gpu": 1}
    for dag in dag_bag.dags.values():
        for task in dag.tasks:
            # A person, another run, or a file.
            if isinstance(task, HITLOperator | TriggerDagRunOperator) or task.operator_name.endswith(
                "Sensor"
            ):
                assert task.pool == "default_pool", task


def test_only_ingestion_makes_up_missed_days_and_only_since_the_first_day(dag_bag):
    assert [dag_id for dag_id, dag in dag_bag.dags.items() if dag.catchup] == ["ingest_tweets"]
    for dag in dag_bag.dags.values():
        assert dag.start_date.date().isoformat() == "2026-11-01", dag


def test_assets_chain_the_dags(dag_bag):
    after = {
        dag_id: [asset.name for asset in dag.schedule]
        for dag_id, dag in dag_bag.dags.items()
        if isinstance(dag.schedule, list)
    }
    changed = {
        dag_id: sorted({outlet.name for task in dag.tasks for outlet in task.outlets})
        for dag_id, dag in dag_bag.dags.items()
    }
    assert after == {"clean_tweets": ["tweets_raw"], "explore_tweets": ["tweets_clean"]}
    assert sorted(
        asset.name for asset in dag_bag.dags["train_classifiers"].timetable.asset_condition.objects
    ) == ["drift", "tweets_clean"]
    assert changed == {
        "ingest_tweets": ["tweets_raw"],
        "review_dump": ["tweets_raw"],
        "retract_dump": ["tweets_raw"],
        "clean_tweets": ["tweets_clean"],
        "explore_tweets": [],
        "train_classifiers": ["models"],
        "tune_classifier": [],
        "cross_validate": [],
        "score_tweets": ["drift", "tweets_scored"],
        "maintain_tables": [],
    }


def test_ingestion_runs_daily_and_when_a_dump_has_landed(dag_bag):
    schedule = dag_bag.dags["ingest_tweets"].timetable
    assert schedule.timetable.expression == "0 0 * * *"
    [landed] = schedule.asset_condition.objects
    [watcher] = landed.watchers
    assert watcher.trigger.landing_folder == "/vaxpulse/landing"
    assert watcher.trigger.poll_seconds <= 30  # a dump is picked up within a minute


def test_only_what_has_changed_tweets_raw_says_so(dag_bag):
    # An Asset event comes from a task that succeeded, not from one that was skipped: a known dump starts nothing.
    tasks = [
        task
        for dag in dag_bag.dags.values()
        for task in dag.tasks
        if "tweets_raw" in [outlet.name for outlet in task.outlets]
    ]
    assert {task.task_id: task.skip_on_exit_code for task in tasks} == {
        "load_dumps": [99],
        "carry_out": [99],
        "retract": [99],
    }


def test_what_was_delivered_is_loaded_also_when_another_file_could_not_be(dag_bag):
    load = dag_bag.dags["ingest_tweets"].get_task("load_dumps")
    assert load.trigger_rule == "all_done"
    assert load.upstream_task_ids == {"deliver"}


def test_a_run_is_red_when_any_of_its_files_could_not_be_delivered_or_loaded(dag_bag):
    # The state of a run is that of its leaves.
    dag = dag_bag.dags["ingest_tweets"]
    assert {task.task_id for task in dag.leaves} == {"report", "ask_for_review"}
    report = dag.get_task("report")
    assert report.upstream_task_ids == {"deliver", "load_dumps"}
    assert report.trigger_rule == "none_failed"


def test_a_file_that_cannot_be_delivered_or_loaded_keeps_nobody_from_deciding_about_another(dag_bag):
    held = dag_bag.dags["ingest_tweets"].get_task("find_held")
    assert held.trigger_rule == "all_done"
    assert held.downstream_task_ids == {"ask_for_review"}


def test_a_question_can_be_asked_before_anybody_has_answered_it(dag_bag):
    # Airflow validates the params of a task when it starts.
    assert dag_bag.dags["review_dump"].get_task("decide").params.validate() == {"reason": None}


def test_words_of_a_person_do_not_reach_the_shell(dag_bag):
    for dag_id, task_id in (("review_dump", "carry_out"), ("retract_dump", "retract")):
        task = dag_bag.dags[dag_id].get_task(task_id)
        assert "reason" in task.env["REASON"]
        assert task.bash_command.count("reason") == 1
        assert task.bash_command.endswith('--reason="$REASON"')


def test_every_spark_job_is_a_file_of_its_own_name(dag_bag):
    tasks = [
        task
        for dag in dag_bag.dags.values()
        for task in dag.tasks
        if task.operator_name == SparkJobOperator.__name__
    ]
    applications = {
        task.task_id: Path(task.partial_kwargs["application"] if task.is_mapped else task.application)
        for task in tasks
    }
    assert applications.keys() == {"clean_tweets", "explore_tweets", "score_tweets", "maintain_tables"}
    for task_id, application in applications.items():
        assert application.is_file(), application
        assert application.stem == task_id
