"""What all DAGs share: who answers for them, how often and how long a task tries, and how a Spark job is submitted."""

from __future__ import annotations

import json
import logging
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import timezone
from airflow.sdk.exceptions import AirflowFailException
from vaxpulse_airflow.spark_job import SparkJobOperator

log = logging.getLogger(__name__)

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

# With a socket as its standard input, which Airflow gives it, bash takes itself for a remote login and reads ~/.bashrc, which may put
# another Python first on PATH; but not where it is told that it is the second shell.
SHELL_ENVIRONMENT = {"SHLVL": "1"}

# The workers of this queue alone have what training/ imports; an executor without queues passes the queue over.
TRAINING_WORKER: dict[str, Any] = {"queue": "gpu"}
# A training also takes its turn on the device.
GPU: dict[str, Any] = TRAINING_WORKER | {"pool": "gpu"}

# The trainer's presets (training/presets.py); the rooms do not import each other, a test compares.
PRESETS = ["minilm", "mpnet", "bert", "roberta", "distilbert", "xlnet", "gpt2", "bertweet"]

# A training takes all processors for long. Reports and scores, which somebody waits for, go first where they share them.
TRAINING_PYTHON = "nice -n 10 python"

SPARK_CONF: dict[str, str] = {
    # In local mode the driver does all the work; its default of 1 GB is less than Spark NLP and a MERGE want side by side.
    "spark.driver.memory": "3g",
}


# Of the tasks that wait for their turn to write the tables, the one with the highest number comes first. What runs seldom, or only after
# another stage, goes before what runs often: else a stream of dumps would keep cleaning, maintenance and people's decisions waiting for ever.
LOAD, CLEAN, SCORE, SELDOM = range(1, 5)


def writes_tables(priority: int) -> dict[str, Any]:
    """Return the arguments of an operator that writes the Delta tables: one such task at a time, in all DAGs.

    Args:
        priority: LOAD, CLEAN, SCORE or SELDOM.
    """
    # Airflow would add the weights of the tasks behind it, and so put loading first.
    return {"pool": "delta_writer", "priority_weight": priority, "weight_rule": "absolute"}


# A decision about a dump says why in at least so many characters.
SHORTEST_REASON = 10


def fail_for_good(message: str) -> NoReturn:
    """End a task red without another try, and say why in its log: Airflow keeps an exception's words apart from the log's lines."""
    log.error("error: %s", message)
    raise AirflowFailException(message)


def loading_task(
    command: str,
    arguments: dict[str, str],
    *,
    task_id: str | None = None,
    reason: str | None = None,
    **operator_arguments: Any,
) -> BashOperator:
    """Return the task that runs `loading/<command>.py` with `--name value` for each argument.

    Args:
        command: the file's name.
        arguments: what it is told; none of them may come from free text.
        task_id: the name of the task, if it is not the command's.
        reason: what a person wrote. It goes through the environment, so that the shell does not read it.
        operator_arguments: what BashOperator takes besides.
    """
    words = [f"--{name} {value}" for name, value in arguments.items()]
    if reason is not None:
        words.append('--reason="$REASON"')
    return BashOperator(
        task_id=task_id or command,
        bash_command=" ".join(["python", "-m", f"loading.{command}", *words]),
        cwd=str(REPOSITORY),
        env=SHELL_ENVIRONMENT | ({} if reason is None else {"REASON": reason}),
        append_env=True,
        # One more than others: the NameNode names a dead DataNode to writers for 30 s, and this client does not get around it.
        retries=DEFAULT_ARGS["retries"] + 1,
        # The last line that the command prints is JSON for the tasks after it.
        output_processor=read_json,
        **operator_arguments,
    )


def read_json(line: str) -> Any:
    """Return the value in a line of JSON, None where it is no JSON."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def spark_job(task_id: str, arguments: dict[str, str], **operator_arguments: Any) -> SparkJobOperator:
    """Return the task that runs `spark_jobs/<task_id>.py` with `--name value` for each argument."""
    return SparkJobOperator(
        task_id=task_id,
        application_args=spark_job_arguments(arguments),
        **spark_settings(task_id),
        **operator_arguments,
    )


def spark_job_arguments(arguments: dict[str, str]) -> list[str]:
    """Return `--name value` for each argument, word by word."""
    return [word for name, value in arguments.items() for word in (f"--{name}", value)]


def spark_settings(task_id: str) -> dict[str, Any]:
    """Return what every Spark job is submitted with."""
    return {
        "name": task_id,
        "application": str(REPOSITORY / "spark_jobs" / f"{task_id}.py"),
        "package": str(REPOSITORY / "spark_jobs"),
        "conf": SPARK_CONF,
        # Reattaching to a running driver needs YARN or Kubernetes; said here so that no warning says it in each log.
        "durable": False,
    }
