"""Old rows of Airflow's database are deleted, except those that the platform needs."""

from datetime import UTC, datetime, timedelta

from airflow.utils.db_cleanup import _effective_table_names

from vaxpulse_airflow.retention import TABLES, find_cutoff

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def test_rows_are_deleted_after_the_period():
    assert find_cutoff(30, NOW, None) == NOW - timedelta(days=30)
    assert find_cutoff(30, NOW, NOW - timedelta(days=1)) == NOW - timedelta(days=30)


def test_run_that_waits_longer_for_a_user_stays():
    waiting_since = NOW - timedelta(days=90)
    assert find_cutoff(30, NOW, waiting_since) == waiting_since


def test_asset_events_and_triggers_stay():
    tables, _ = _effective_table_names(table_names=list(TABLES))
    assert {"task_instance", "xcom"} <= set(tables)
    assert not {"asset_event", "trigger", "dag", "dag_version"} & set(tables)
