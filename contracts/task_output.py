"""Lines in the output of commands and Spark jobs that Airflow's operators read.

The operators turn the ids into links. The last line of the output may be a JSON object; its `asset_event` is
stored in the Asset events of the task.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

MLFLOW_RUN = re.compile(r"MLflow run (?P<run>[0-9a-f]{32}) of experiment (?P<experiment>\d+)")
SPARK_APPLICATION = re.compile(r"Spark application (?P<application>(?:local|app)-[\w-]+)")
EVENT = "asset_event"


def describe_mlflow_run(run_id: str, experiment_id: str) -> str:
    """Return the line that names an MLflow run.

    >>> describe_mlflow_run("0123456789abcdef0123456789abcdef", "2")
    'MLflow run 0123456789abcdef0123456789abcdef of experiment 2'
    """
    return f"MLflow run {run_id} of experiment {experiment_id}"


def describe_spark_application(application_id: str) -> str:
    """Return the line that names a Spark application.

    >>> describe_spark_application("local-1764417600000")
    'Spark application local-1764417600000'
    """
    return f"Spark application {application_id}"


def build_event(rows: int, version: int, dumps: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """Return the part of a command's JSON that describes a change of a table.

    Args:
        rows: number of rows that were written or deleted.
        version: Delta version of the table after the change.
        dumps: SHA-256 of the dumps that changed it. None: those of the events that triggered the run.
    """
    event: dict[str, Any] = {"rows": rows, "version": version}
    return {EVENT: event if dumps is None else event | {"dumps": sorted(dumps)}}


def read_event(line: str) -> dict[str, Any]:
    """Return the event in a line of output, or {}.

    >>> read_event('{"job": "clean_tweets", "asset_event": {"rows": 3, "version": 7}}')
    {'rows': 3, 'version': 7}
    >>> read_event("3 rows")
    {}
    """
    try:
        event = json.loads(line)[EVENT]
    except (ValueError, TypeError, KeyError):
        return {}
    return event if isinstance(event, dict) else {}
