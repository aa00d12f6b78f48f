"""Airflow without services: a temporary home, and the environment variables of a deployment."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).parents[2]

# Airflow reads its configuration when it is imported.
os.environ |= {
    "AIRFLOW_HOME": tempfile.mkdtemp(prefix="vaxpulse-airflow-"),
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__API__BASE_URL": "http://airflow:8080",
    "VAXPULSE_HDFS": "hdfs://namenode:8020",
    "VAXPULSE_LANDING": "/landing",
    "VAXPULSE_START_DATE": "2026-11-01T09:30:00+00:00",
    "VAXPULSE_SELF_REVIEW": "allowed",
    "VAXPULSE_MLFLOW_URL": "http://mlflow:5000",
    "VAXPULSE_HDFS_URL": "http://namenode:9870",
    "VAXPULSE_SPARK_URL": "http://spark:18080",
    "AIRFLOW_CONN_SPARK_DEFAULT": '{"conn_type": "spark", "host": "spark://master", "port": 7077}',
}


@pytest.fixture(scope="session")
def dag_bag() -> Iterator[object]:
    """Return all DAGs as Airflow parses them."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag()


@pytest.fixture
def dag_module(dag_bag) -> Callable[[str], ModuleType]:
    """Return a function that returns the module of a DAG file."""

    def find(dag_id: str) -> ModuleType:
        fileloc = dag_bag.dags[dag_id].fileloc
        return next(m for m in list(sys.modules.values()) if getattr(m, "__file__", None) == fileloc)

    return find
