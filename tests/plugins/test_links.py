"""The menu entries in Airflow."""

import pytest
from vaxpulse_airflow.links import external_views

ENVIRONMENT = {
    "VAXPULSE_MLFLOW_URL": "http://mlflow:5000",
    "VAXPULSE_HDFS_URL": "http://namenode:9870",
    "VAXPULSE_SPARK_URL": "http://spark:18080",
}


def test_each_page_is_one_entry_in_the_browse_menu():
    views = external_views(ENVIRONMENT)
    assert {view["name"]: view["href"] for view in views} == {
        "MLflow": "http://mlflow:5000",
        "HDFS": "http://namenode:9870",
        "Spark jobs": "http://spark:18080",
    }
    assert {(view["destination"], view["category"]) for view in views} == {("nav", "browse")}


def test_missing_address_is_an_error():
    with pytest.raises(KeyError, match="VAXPULSE_SPARK_URL"):
        external_views({name: value for name, value in ENVIRONMENT.items() if name != "VAXPULSE_SPARK_URL"})
