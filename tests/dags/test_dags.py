"""House rules for all DAGs, and the set of DAGs."""

import json
from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.serialization.serialized_objects import DagSerialization

from contracts import tables
from vaxpulse_airflow.command import REPOSITORY, CommandOperator
from vaxpulse_airflow.spark_job import SparkJobOperator


def test_every_dag_file_can_be_parsed(dag_bag):
    assert dag_bag.import_errors == {}


def test_set_of_dags(dag_bag):
    assert set(dag_bag.dags) == {
        "ingest_tweets",
        "review_dump",
        "retract_dump",
        "reopen_dump",
        "withdraw_mapping",
        "clean_tweets",
        "explore_tweets",
        "train_classifiers",
        "tune_classifier",
        "cross_validate",
        "score_tweets",
        "maintain_tables",
        "watch_platform",
        "apply_retention",
        "erase_tweets",
    }


def runs_package(task, package):
    """Return whether a task runs a command of a package."""
    # The command of a mapped task is an XCom of its run.
    if task.is_mapped:
        return package == "training" and task.operator_name == CommandOperator.__name__
    return any(word.startswith(f"{package}.") for word in getattr(task, "command", []))


def test_every_task_has_an_owner_retries_and_a_timeout(dag_bag):
    tasks = [task for dag in dag_bag.dags.values() for task in dag.tasks]
    assert tasks
    for task in tasks:
        assert task.owner == "vaxpulse", task
        retries = {"training": 6, "loading": 3}
        expected = next((count for package, count in retries.items() if runs_package(task, package)), 2)
        assert task.retries == expected, task
        # A decision may take days.
        assert bool(task.execution_timeout) != isinstance(task, HITLOperator), task


def test_commands_of_a_training_are_retried_during_an_outage_of_twenty_minutes(dag_bag):
    for task_id in ("train", "compare", "promote"):
        task = dag_bag.dags["train_classifiers"].get_task(task_id)
        delays = [task.retry_delay * task.retry_exponential_backoff**number for number in range(task.retries)]
        assert sum((min(delay, task.max_retry_delay) for delay in delays), timedelta()) > timedelta(
            minutes=20
        )


def test_roles_that_may_run_each_dag(dag_bag):
    allowed = {
        dag_id: {
            role
            for role, resources in (dag.access_control or {}).items()
            if resources == {"DAGs": {"can_edit"}}
        }
        for dag_id, dag in dag_bag.dags.items()
    }
    assert allowed == {
        "ingest_tweets": {"Deliverer", "Curator"},
        "review_dump": {"Curator"},
        "reopen_dump": {"Curator"},
        "retract_dump": {"Curator"},
        "withdraw_mapping": {"Curator"},
        "clean_tweets": set(),
        "explore_tweets": set(),
        "train_classifiers": {"Modeler"},
        "tune_classifier": {"Modeler"},
        "cross_validate": {"Modeler"},
        "score_tweets": {"Modeler"},
        "maintain_tables": set(),
        "apply_retention": set(),
        "erase_tweets": set(),  # cannot be undone: Op and Admin only
        "watch_platform": set(),
    }


def test_text_of_every_dag_has_four_parts(dag_bag):
    for dag in dag_bag.dags.values():
        for heading in ("**What.**", "**When.**", "**Needs.**", "**If it fails.**"):
            assert heading in dag.doc_md, (dag.dag_id, heading)


def test_only_reviews_run_concurrently(dag_bag):
    # Several held dumps can wait for a decision.
    assert [dag_id for dag_id, dag in dag_bag.dags.items() if dag.max_active_runs != 1] == ["review_dump"]


def test_tasks_take_the_slot_of_the_tables_that_they_write_and_rare_ones_have_priority(dag_bag):
    tasks = {f"{dag_id}.{task.task_id}": task for dag_id, dag in dag_bag.dags.items() for task in dag.tasks}
    writers = {name: task for name, task in tasks.items() if task.pool != "default_pool"}
    # By default Airflow adds the weights of downstream tasks.
    assert {task.weight_rule for task in writers.values()} == {"absolute"}
    assert {name: (task.pool, task.priority_weight) for name, task in writers.items()} == {
        "ingest_tweets.load_dumps": ("writes_raw", 1),
        "review_dump.apply_decision": ("writes_raw", 2),
        "retract_dump.retract": ("writes_raw", 2),
        "reopen_dump.reopen": ("writes_raw", 2),
        "withdraw_mapping.withdraw": ("writes_raw", 2),
        "maintain_tables.maintain_raw": ("writes_raw", 2),
        "clean_tweets.clean_tweets": ("writes_clean", 1),
        "maintain_tables.maintain_clean": ("writes_clean", 2),
        "score_tweets.score_tweets": ("writes_scored", 1),
        # writes no table, but runs Spark
        "explore_tweets.explore_tweets": ("writes_scored", 1),
        "maintain_tables.maintain_scored": ("writes_scored", 2),
        "apply_retention.quarantine": ("writes_raw", 2),
        "apply_retention.scores": ("writes_scored", 2),
        "erase_tweets.erase_raw": ("writes_raw", 2),
        "erase_tweets.erase_clean": ("writes_clean", 2),
        "erase_tweets.erase_scored": ("writes_scored", 2),
        "train_classifiers.train": ("gpu", 1),
        "tune_classifier.tune": ("gpu", 1),
        "cross_validate.fold": ("gpu", 1),
        # first scores exist within minutes
        "train_classifiers.train_baseline": ("gpu", 2),
        "erase_tweets.erase_mlflow_trainings": ("gpu", 2),
    }
    # A task with the Asset of a table as its outlet writes the table.
    for name, pool in (
        (tables.TWEETS_RAW.name, "writes_raw"),
        (tables.TWEETS_CLEAN.name, "writes_clean"),
        (tables.TWEETS_SCORED.name, "writes_scored"),
    ):
        found = {task.pool for task in tasks.values() if name in {outlet.name for outlet in task.outlets}}
        assert found == {pool}


def test_each_table_is_maintained_in_the_slot_of_its_writers(dag_bag):
    names = {
        "writes_raw": ["dumps", "mappings", "erasures", "tweets_raw", "quarantine"],
        "writes_clean": ["tweets_clean"],
        "writes_scored": ["tweets_scored", "drift", "pipeline_metrics"],
    }
    assert {name for of_pool in names.values() for name in of_pool} == {table.name for table in tables.TABLES}
    for task in dag_bag.dags["maintain_tables"].tasks:
        [uris] = [word for word in task.application_args if word.startswith("--tables=")]
        maintained = [uri.rsplit("/", 1)[-1] for uri in uris.split(",")]
        assert maintained == names[task.pool]
        assert ("tweets_raw" in maintained) == any("--tweets-raw=" in word for word in task.application_args)


def test_loading_and_cleaning_never_wait_for_another_stage(dag_bag):
    tasks = [(dag_id, task) for dag_id, dag in dag_bag.dags.items() for task in dag.tasks]
    regular = {
        pool: {dag_id for dag_id, task in tasks if task.pool == pool and task.priority_weight == 1}
        for pool in ("writes_raw", "writes_clean")
    }
    assert regular == {"writes_raw": {"ingest_tweets"}, "writes_clean": {"clean_tweets"}}


def test_at_most_two_regular_spark_jobs_run_at_once(dag_bag):
    """The third one would wait for executors of the stack, and would need 3 GiB of memory."""
    slots = json.loads((REPOSITORY / "deploy" / "conf" / "pools.json").read_text())
    pools = {
        task.pool
        for dag_id, dag in dag_bag.dags.items()
        for task in dag.tasks
        if task.operator_name == SparkJobOperator.__name__ and dag_id != "maintain_tables"
    }
    assert sum(slots[pool]["slots"] for pool in pools) == 2


def test_trainings_run_one_at_a_time_on_a_worker_with_the_libraries(dag_bag):
    tasks = [task for dag in dag_bag.dags.values() for task in dag.tasks]
    on_device = [task for task in tasks if task.task_id in ("train_baseline", "train", "tune", "fold")]
    assert len(on_device) == 4
    assert {(task.pool, task.queue) for task in on_device} == {("gpu", "gpu")}
    # These tasks need the libraries of training, but no device.
    beside = [task for task in tasks if runs_package(task, "training") and task not in on_device]
    assert {task.task_id for task in beside} == {"compare", "promote", "promote_baseline", "summary"}
    assert {(task.pool, task.queue) for task in beside} == {("default_pool", "gpu")}
    # It waits until no training can log erased tweets, but needs no library.
    [erasing] = [task for task in tasks if task.task_id == "erase_mlflow_trainings"]
    assert (erasing.pool, erasing.queue) == ("gpu", "default")
    others = [task for task in tasks if task not in [*on_device, *beside, erasing]]
    assert {(task.pool, task.queue) for task in others} == {
        ("writes_raw", "default"),
        ("writes_clean", "default"),
        ("writes_scored", "default"),
        ("default_pool", "default"),
    }


def test_spark_jobs_except_cleaning_leave_the_cores_to_others(dag_bag):
    jobs = [task for dag in dag_bag.dags.values() for task in dag.tasks if isinstance(task, SparkJobOperator)]
    low = {task.task_id for task in jobs if (task.env_vars or {}).get("VAXPULSE_JOB_NICE") == "10"}
    assert low == {"explore_tweets", "score_tweets"}


def test_deployment_creates_every_pool_and_waiting_tasks_use_none(dag_bag):
    pools = json.loads((REPOSITORY / "deploy" / "conf" / "pools.json").read_text())
    assert {task.pool for dag in dag_bag.dags.values() for task in dag.tasks} == {*pools, "default_pool"}
    assert {pool["slots"] for pool in pools.values()} == {1}
    for dag in dag_bag.dags.values():
        for task in dag.tasks:
            # Wait for a user, for another run, or for a file.
            if isinstance(task, HITLOperator | TriggerDagRunOperator) or task.operator_name.endswith(
                "Sensor"
            ):
                assert task.pool == "default_pool", task


def test_only_ingestion_catches_up_and_only_since_the_start_date(dag_bag):
    assert [dag_id for dag_id, dag in dag_bag.dags.items() if dag.catchup] == ["ingest_tweets"]
    for dag in dag_bag.dags.values():
        # The first run of ingest_tweets loads the files that were delivered before the first start.
        expected = "00:00" if dag.catchup else "09:30"
        assert f"{dag.start_date:%Y-%m-%d %H:%M}" == f"2026-11-01 {expected}", dag


def test_no_two_dags_are_scheduled_for_the_same_time_of_day(dag_bag):
    timetables = [getattr(dag.timetable, "timetable", dag.timetable) for dag in dag_bag.dags.values()]
    schedules = [each.expression for each in timetables if hasattr(each, "expression")]
    daily = [schedule for schedule in schedules if schedule != "*/5 * * * *"]
    times_of_day = [tuple(map(int, schedule.split()[:2])) for schedule in daily]
    assert sorted(times_of_day) == [(0, 0), (0, 3), (30, 1), (30, 2)]


def test_trainings_have_a_timeout_for_their_work(dag_bag):
    timeouts = {task.task_id: task.execution_timeout for dag in dag_bag.dags.values() for task in dag.tasks}
    assert timeouts["train"] >= timedelta(hours=12)
    assert timeouts["fold"] >= timedelta(hours=12)
    assert timeouts["tune"] >= timedelta(days=2)


def test_assets_link_the_dags(dag_bag):
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
        "reopen_dump": ["tweets_raw"],
        "withdraw_mapping": [],
        "clean_tweets": ["tweets_clean"],
        "explore_tweets": [],
        "train_classifiers": ["models"],
        "tune_classifier": [],
        "cross_validate": [],
        "score_tweets": ["drift", "tweets_scored"],
        "maintain_tables": [],
        "watch_platform": [],
        "apply_retention": [],
        "erase_tweets": ["tweets_raw"],
    }


def test_ingestion_runs_daily_and_after_a_dump_has_landed(dag_bag):
    schedule = dag_bag.dags["ingest_tweets"].timetable
    assert schedule.timetable.expression == "0 0 * * *"
    [landed] = schedule.asset_condition.objects
    [watcher] = landed.watchers
    assert watcher.trigger.poll_seconds <= 30  # a dump is ingested within a minute


def test_delivered_dumps_are_loaded_even_if_others_could_not_be_delivered(dag_bag):
    load = dag_bag.dags["ingest_tweets"].get_task("load_dumps")
    assert load.trigger_rule == "all_done"
    assert load.upstream_task_ids == {"deliver"}


def test_run_fails_if_a_file_could_not_be_delivered_or_loaded(dag_bag):
    # The leaves of a DAG determine the state of a run.
    dag = dag_bag.dags["ingest_tweets"]
    assert {task.task_id for task in dag.leaves} == {"report", "start_review"}
    report = dag.get_task("report")
    assert report.upstream_task_ids == {"deliver", "load_dumps"}
    assert report.trigger_rule == "none_failed"


def test_reviews_start_even_if_other_files_could_not_be_delivered_or_loaded(dag_bag):
    held = dag_bag.dags["ingest_tweets"].get_task("find_held")
    assert held.trigger_rule == "all_done"
    assert held.downstream_task_ids == {"start_review"}


def test_run_of_reopen_dump_fails_with_its_command_and_starts_a_review_if_the_dump_is_held(dag_bag):
    dag = dag_bag.dags["reopen_dump"]
    held = dag.get_task("find_held")
    # The command is skipped if the dump is held.
    assert (held.trigger_rule, held.upstream_task_ids) == ("none_failed", {"reopen"})
    assert {task.task_id for task in dag.leaves} == {"start_review"}


def test_task_that_waits_for_a_decision_can_start_without_a_reason(dag_bag):
    # Airflow validates the params of a task when the task starts.
    assert dag_bag.dags["review_dump"].get_task("decide").params.validate() == {
        "mapping": None,
        "reason": None,
    }


def test_every_spark_job_has_the_name_of_its_file(dag_bag):
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
    for task_id, application in applications.items():
        assert application.is_file(), application
        assert application.stem == ("maintain_tables" if task_id.startswith("maintain_") else task_id)
    assert {application.stem for application in applications.values()} == {
        "clean_tweets",
        "explore_tweets",
        "score_tweets",
        "maintain_tables",
    }


def test_commands_and_jobs_have_links(dag_bag):
    """Airflow reads the links of a task in the web page from the serialized DAG."""
    names = {"MLflow run", "HDFS", "Report"}
    expected = {CommandOperator.__name__: names, SparkJobOperator.__name__: names | {"Spark application"}}
    found = {name: [] for name in expected}
    for dag in dag_bag.dags.values():
        serialized = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        for task in serialized.tasks:
            if task.task_type in expected:
                found[task.task_type].append({link.name for link in task.operator_extra_links})
    for name, links in found.items():
        assert len(links) > 3
        assert all(each == expected[name] for each in links)
