"""### Delete data after its retention period

**What.** Deletes old reports, model files, scores of former champions, invalid records and logs. The form
has a period for each. `raw/` stays unless a period is given. Never deleted: the champion, the newest run of
each preset, the newest report of each DAG, and the report of the champion's comparison. Params and metrics
of all trainings stay in MLflow. The next run of `maintain_tables` frees the space of deleted rows.

**When.** Every day at 02:30 UTC, or on *Trigger* with other periods.

**Needs.** MLflow at `MLFLOW_TRACKING_URI`, and the connection `webhdfs_default`.

**If it fails.** The other tasks continue, but if `models` or `reports` has failed, `hdfs_folders` does not
run, and nothing in HDFS is deleted. Clear the task, or wait for the next day.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import dag, get_current_context, task

from contracts import hdfs_paths
from contracts.retention import PERIODS, UPLOAD_RETENTION
from contracts.tables import HELD
from vaxpulse_dags.assets import DUMPS, QUARANTINE, TWEETS_SCORED
from vaxpulse_dags.retention import period_param, retention_task
from vaxpulse_dags.tables import read_dumps
from vaxpulse_dags.tasks import DEFAULT_ARGS, RAW_WRITES, SCORED_WRITES, START_DATE, takes_slot

log = logging.getLogger(__name__)
TRAINING_DAG = "train_classifiers"


@dag(
    schedule="30 2 * * *",
    start_date=START_DATE,
    catchup=False,  # a run also does the work of missed runs
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["maintain"],
    params={period.name: period_param(period) for period in PERIODS},
)
def apply_retention() -> None:
    """Run a command for each kind of data, then delete folders in HDFS."""
    models = retention_task("models", "model_days", returns_json=True)
    reports = retention_task("reports", "report_days")
    retention_task(
        "scores", "score_days", {"tweets-scored": TWEETS_SCORED.uri}, **takes_slot(SCORED_WRITES, rare=True)
    )
    retention_task(
        "quarantine",
        "quarantine_days",
        {"quarantine": QUARANTINE, "dumps": DUMPS},
        **takes_slot(RAW_WRITES, rare=True),
    )
    retention_task("files", "log_days")

    @task
    def hdfs_folders(kept: Mapping[str, Any]) -> None:
        from vaxpulse_airflow.retention import delete_old_entries, delete_old_reports
        from vaxpulse_airflow.webhdfs import TimedWebHDFSHook

        client = TimedWebHDFSHook().get_conn()
        days = {name: value for name, value in get_current_context()["params"].items() if value}
        before = {name: datetime.now(UTC) - timedelta(days=value) for name, value in days.items()}
        run_id = kept["champion_dag_run"]
        comparison = [hdfs_paths.report_path(TRAINING_DAG, run_id)] if run_id else []
        deleted = delete_old_reports(client, before["report_days"], comparison)
        deleted += delete_old_entries(client, hdfs_paths.UPLOADS, datetime.now(UTC) - UPLOAD_RETENTION, [])
        if kept["champion"]:
            name, version = kept["champion"]
            folder = f"{hdfs_paths.MODELS}/{name}"
            deleted += delete_old_entries(client, folder, before["model_days"], [f"{folder}/{version}"])
        if "raw_days" in before:
            held = [hdfs_paths.raw_path(dump["dump_sha256"]) for dump in read_dumps(f"state = '{HELD}'")]
            deleted += delete_old_entries(client, hdfs_paths.RAW, before["raw_days"], held)
        log.info("deleted in HDFS:\n%s", "\n".join(deleted) or "nothing")

    reports >> hdfs_folders(models.output)


apply_retention()
