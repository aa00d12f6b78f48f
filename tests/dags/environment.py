"""Airflow without services: a temporary home, and the environment variables of a deployment.

Airflow reads its configuration when it is imported, so each conftest.py whose folder imports Airflow imports
this module first.
"""

import os
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

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
