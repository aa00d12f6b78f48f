"""What all DAGs share: who answers for them, how often and how long a task tries, and how a Spark job is submitted."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import XComArg, timezone
from vaxpulse_airflow.spark_job import SparkJobOperator

REPOSITORY = Path(__file__).resolve().parents[2]

# The day on which this deployment began: days before it have nothing to be made up for. Never "now", which would move.
FIRST_DAY: datetime = timezone.parse(os.environ["VAXPULSE_FIRST_DAY"])

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "vaxpulse",
    # Every stage writes exactly its slice, so that a second try is safe; two outlast a restart of HDFS or MLflow.
    "retries": 2,
    "retry_delay": timedelta(seconds=20),
    "execution_timeout": timedelta(hours=2),
}

SPARK_CONF: dict[str, str] = {
    # In local mode the driver does all the work; its default of 1 GB is less than Spark NLP and a MERGE want side by side.
    "spark.driver.memory": "3g",
}


def spark_job(task_id: str, arguments: dict[str, str], **operator_arguments: Any) -> SparkJobOperator:
    """Return the task that runs `spark_jobs/<task_id>.py` with `--name value` for each argument."""
    return SparkJobOperator(
        task_id=task_id, application_args=spark_job_arguments(arguments), **spark_settings(task_id), **operator_arguments
    )


def spark_jobs(task_id: str, argument_lists: XComArg, **operator_arguments: Any) -> Any:
    """Return the task that runs `spark_jobs/<task_id>.py` once for each list of arguments, one after the other."""
    return SparkJobOperator.partial(
        task_id=task_id,
        max_active_tis_per_dag=1,  # one writer on the tables at a time
        **spark_settings(task_id),
        **operator_arguments,
    ).expand(application_args=argument_lists)


def spark_job_arguments(arguments: dict[str, str]) -> list[str]:
    """Return `--name value` for each argument, word by word."""
    return [word for name, value in arguments.items() for word in (f"--{name}", value)]


def spark_settings(task_id: str) -> dict[str, Any]:
    """Return what every Spark job is submitted with."""
    return {
        "name": task_id,
        "application": str(REPOSITORY / "spark_jobs" / f"{task_id}.py"),
        "conf": SPARK_CONF,
        # Reattaching to a running driver needs YARN or Kubernetes; said here so that no warning says it in each log.
        "durable": False,
    }
