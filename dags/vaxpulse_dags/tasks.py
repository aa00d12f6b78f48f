"""Settings of all DAGs, and factories of the tasks that run commands of `loading` and Spark jobs."""

import logging
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn

from airflow.sdk import timezone
from airflow.sdk.exceptions import AirflowFailException

from contracts import tables
from vaxpulse_airflow.command import REPOSITORY, CommandOperator, build_options
from vaxpulse_airflow.spark_job import SparkJobOperator

log = logging.getLogger(__name__)

# Time of the first start of the deployment. There are no scheduled runs for earlier times.
START_DATE: datetime = timezone.parse(os.environ["VAXPULSE_START_DATE"])

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "vaxpulse",
    # A retry is safe, because each task replaces or merges exactly its own rows. Two retries last longer than
    # a restart of HDFS or MLflow.
    "retries": 2,
    "retry_delay": timedelta(seconds=20),
    "execution_timeout": timedelta(hours=2),
}

# Packages that Spark jobs import.
SPARK_PACKAGES = ("spark_jobs", "contracts", "onnx_model", "reporting")
# In local mode the driver runs all tasks. The default of 1 GB is too little for Spark NLP and a MERGE.
SPARK_CONF = {"spark.driver.memory": "3g"}

# Pools with one slot. A task takes the slot of the tables that it writes: loading never waits for cleaning,
# cleaning never waits for scoring. `explore_tweets` writes no table, but takes the last slot, so that a Spark
# job of clean_tweets has to share the machine with at most one other regular job.
RAW_WRITES, CLEAN_WRITES, SCORED_WRITES = "writes_raw", "writes_clean", "writes_scored"
# The tables of each pool. watch_platform takes no slot: its appends to `pipeline_metrics` cannot conflict.
WRITTEN_TABLES = {
    RAW_WRITES: (
        tables.DUMPS,
        tables.MAPPINGS,
        tables.ERASURES,
        tables.TWEETS_RAW,
        tables.QUARANTINE,
    ),
    CLEAN_WRITES: (tables.TWEETS_CLEAN,),
    SCORED_WRITES: (tables.TWEETS_SCORED, tables.DRIFT, tables.PIPELINE_METRICS),
}


def takes_slot(pool: str, *, rare: bool = False) -> dict[str, Any]:
    """Return the operator arguments of a task that takes the slot of a pool.

    Rare tasks (maintenance, decisions about dumps) run before regular ones that wait. Otherwise a continuous
    stream of dumps could block them indefinitely.
    """
    # Airflow's default rule adds the weights of downstream tasks. Loading would then have a high priority.
    return {"pool": pool, "priority_weight": 2 if rare else 1, "weight_rule": "absolute"}


def fail_without_retry(message: str) -> NoReturn:
    """Fail a task without a retry, with the message as the last line of its log."""
    log.error("error: %s", message)
    raise AirflowFailException(message)


def loading_task(
    command: str, options: Mapping[str, Any], *, task_id: str | None = None, **operator_arguments: Any
) -> CommandOperator:
    """Return the task that runs a command of `loading`.

    Args:
        command: module of the command.
        options: value of each option.
        task_id: id of the task; by default the name of the command.
        operator_arguments: further arguments of CommandOperator.
    """
    return CommandOperator(
        task_id=task_id or command,
        command=["python", "-m", f"loading.{command}", *build_options(options)],
        # One retry more than other tasks: until 30 s after the death of a DataNode, the NameNode may send
        # writers to it (deploy/conf/hadoop/hdfs-site.xml).
        retries=DEFAULT_ARGS["retries"] + 1,
        **operator_arguments,
    )


def spark_job(
    job: str,
    options: Mapping[str, Any],
    *,
    task_id: str | None = None,
    low_priority: bool = False,
    **operator_arguments: Any,
) -> SparkJobOperator:
    """Return the task that runs `spark_jobs/<job>.py`.

    Args:
        job: module of the job.
        options: value of each option.
        task_id: id of the task; by default the name of the job.
        low_priority: whether the driver runs with nice 10. In local mode it does all work.
        operator_arguments: further arguments of SparkJobOperator.
    """
    return SparkJobOperator(
        task_id=task_id or job,
        name=task_id or job,
        application=str(REPOSITORY / "spark_jobs" / f"{job}.py"),
        application_args=build_options(options),
        python_packages=SPARK_PACKAGES,
        conf=SPARK_CONF,
        env_vars={"VAXPULSE_JOB_NICE": "10"} if low_priority else None,  # for deploy/conf/spark/spark-env.sh
        durable=False,  # without YARN or Kubernetes the default logs a warning
        **operator_arguments,
    )
