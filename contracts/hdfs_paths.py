"""Paths in HDFS. No other module contains one.

A path has no scheme, as WebHDFS expects it. `uri` adds the file system for clients that need a full URI.
"""

import re

ROOT = "/vaxpulse"
LANDING = f"{ROOT}/landing"  # users and programs put new dumps here
DELIVERED = f"{ROOT}/delivered"  # a dump is renamed to this folder before it is read
UPLOADS = f"{ROOT}/uploads"  # <id>/file/<name>: files that users inspect before they load them
RAW = f"{ROOT}/raw"  # each content once, as <sha256>.csv
TABLES = f"{ROOT}/tables"  # one Delta table per folder
REPORTS = f"{ROOT}/reports"  # <dag_id>/<run_id>/report.html and its files
MODELS = f"{ROOT}/models"  # <name>/<version>: files of a registered model, for the executors
SPARK_EVENTS = f"{ROOT}/spark-events"  # event logs of Spark, on deployments whose History Server reads HDFS

_ID = re.compile(r"(?!\.+$)[\w.~:+-]+", re.ASCII)  # the characters that Airflow allows in DAG ids and run ids


def uri(file_system: str, path: str) -> str:
    """Return the URI of a path.

    >>> uri("hdfs://namenode:8020/", LANDING)
    'hdfs://namenode:8020/vaxpulse/landing'
    """
    return file_system.rstrip("/") + path


def table_path(name: str) -> str:
    """Return the folder of a Delta table.

    >>> table_path("tweets_raw")
    '/vaxpulse/tables/tweets_raw'
    """
    return f"{TABLES}/{name}"


def raw_path(sha256: str) -> str:
    """Return the path of a content in RAW.

    >>> raw_path("0123")
    '/vaxpulse/raw/0123.csv'
    """
    return f"{RAW}/{sha256}.csv"


def report_path(dag_id: str, run_id: str) -> str:
    """Return the folder of a run's report. HDFS forbids colons in names, so they become dots.

    >>> report_path("explore_tweets", "manual__2026-11-24T02:11:08+00:00")
    '/vaxpulse/reports/explore_tweets/manual__2026-11-24T02.11.08+00.00'

    Raises:
        ValueError: an id contains a character that Airflow does not allow.
    """
    for part in (dag_id, run_id):
        if not is_id(part):
            raise ValueError(f"{part!r} is not a DAG id or run id")
    return f"{REPORTS}/{dag_id}/{run_id.replace(':', '.')}"


def is_id(text: str) -> bool:
    """Return whether Airflow allows the text as a DAG id or run id. Such a text is one path segment.

    >>> is_id("manual__2026-11-24"), is_id(".."), is_id("a/b")
    (True, False, False)
    """
    return _ID.fullmatch(text) is not None
