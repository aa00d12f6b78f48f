"""Airflow without services: its home in a temporary folder, the environment that a deployment would give."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

# Before the first import of airflow, which reads its configuration then.
os.environ |= {
    "AIRFLOW_HOME": tempfile.mkdtemp(prefix="vaxpulse-airflow-"),
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "VAXPULSE_HDFS": "hdfs://namenode:8020",
    "VAXPULSE_LANDING": "/landing",
    "VAXPULSE_FIRST_DAY": "2026-11-01",
    "VAXPULSE_MLFLOW_URL": "http://mlflow:5000",
    "VAXPULSE_HDFS_URL": "http://namenode:9870",
    "VAXPULSE_SPARK_URL": "http://spark:18080",
    "AIRFLOW_CONN_SPARK_DEFAULT": '{"conn_type": "spark", "host": "spark://master", "port": 7077}',
}


@pytest.fixture(scope="session")
def dag_bag() -> Iterator[object]:
    """All DAGs as Airflow reads them from the files."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag()
