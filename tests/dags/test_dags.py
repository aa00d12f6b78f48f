"""House rules for every DAG, and the exact set of them."""

from pathlib import Path

from vaxpulse_airflow.spark_job import SparkJobOperator


def test_every_dag_file_is_read_without_error(dag_bag):
    assert dag_bag.import_errors == {}


def test_these_are_the_dags(dag_bag):
    assert set(dag_bag.dags) == {"ingest_tweets", "clean_tweets", "explore_tweets", "train_classifiers", "maintain_tables"}


def test_every_task_has_an_owner_retries_and_a_time_limit(dag_bag):
    tasks = [task for dag in dag_bag.dags.values() for task in dag.tasks]
    assert tasks
    for task in tasks:
        assert task.owner == "vaxpulse", task
        assert task.retries == 2, task
        assert task.execution_timeout, task


def test_every_dag_says_what_when_needs_and_what_to_do_if_it_fails(dag_bag):
    for dag in dag_bag.dags.values():
        for heading in ("**What.**", "**When.**", "**Needs.**", "**If it fails.**"):
            assert heading in dag.doc_md, (dag.dag_id, heading)


def test_one_run_at_a_time_writes_the_tables(dag_bag):
    for dag in dag_bag.dags.values():
        assert dag.max_active_runs == 1, dag


def test_only_ingestion_makes_up_missed_days_and_only_since_the_first_day(dag_bag):
    assert [dag_id for dag_id, dag in dag_bag.dags.items() if dag.catchup] == ["ingest_tweets"]
    for dag in dag_bag.dags.values():
        assert dag.start_date.date().isoformat() == "2026-11-01", dag


def test_assets_chain_the_dags(dag_bag):
    after = {dag_id: [asset.name for asset in dag.schedule] for dag_id, dag in dag_bag.dags.items() if isinstance(dag.schedule, list)}
    changed = {dag_id: sorted({outlet.name for task in dag.tasks for outlet in task.outlets}) for dag_id, dag in dag_bag.dags.items()}
    assert after == {"clean_tweets": ["tweets_raw"], "explore_tweets": ["tweets_clean"], "train_classifiers": ["tweets_clean"]}
    assert changed == {
        "ingest_tweets": ["tweets_raw"],
        "clean_tweets": ["tweets_clean"],
        "explore_tweets": [],
        "train_classifiers": ["models"],
        "maintain_tables": [],
    }


def test_ingestion_runs_daily_and_when_a_dump_has_landed(dag_bag):
    schedule = dag_bag.dags["ingest_tweets"].timetable
    assert schedule.timetable.expression == "0 0 * * *"
    [landed] = schedule.asset_condition.objects
    [watcher] = landed.watchers
    assert watcher.trigger.landing_folder == "/vaxpulse/landing"
    assert watcher.trigger.poll_seconds <= 30  # a dump is picked up within a minute


def test_a_skipped_load_starts_nothing_else(dag_bag):
    # An Asset event comes from a task that succeeded; only load_dump may change tweets_raw, so that a known dump changes nothing.
    for task in dag_bag.dags["ingest_tweets"].tasks:
        assert bool(task.outlets) == (task.task_id == "load_dump")


def test_every_spark_job_is_a_file_of_its_own_name(dag_bag):
    tasks = [task for dag in dag_bag.dags.values() for task in dag.tasks if task.operator_name == SparkJobOperator.__name__]
    applications = {task.task_id: Path(task.partial_kwargs["application"] if task.is_mapped else task.application) for task in tasks}
    assert applications.keys() == {"load_dump", "clean_tweets", "explore_tweets", "maintain_tables"}
    for task_id, application in applications.items():
        assert application.is_file(), application
        assert application.stem == task_id
