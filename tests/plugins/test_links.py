"""Menu entries in Airflow."""

import runpy

from vaxpulse_airflow import links
from vaxpulse_airflow.links import external_views

ENVIRONMENT = {
    "VAXPULSE_MLFLOW_URL": "http://mlflow:5000",
    "VAXPULSE_HDFS_URL": "http://namenode:9870",
    "VAXPULSE_SPARK_URL": "http://spark:18080",
}


def test_each_page_has_an_entry_in_the_browse_menu():
    views = external_views(ENVIRONMENT)
    assert {view["name"]: view["href"] for view in views} == {
        "MLflow": "http://mlflow:5000/#/experiments?workflowType=machine_learning",
        "HDFS": "http://namenode:9870",
        "Spark jobs": "http://spark:18080",
    }
    assert {(view["destination"], view["category"]) for view in views} == {("nav", "browse")}


def test_page_without_an_address_has_no_entry():
    assert [view["name"] for view in external_views(ENVIRONMENT | {"VAXPULSE_SPARK_URL": ""})] == [
        "MLflow",
        "HDFS",
    ]


def test_plugin_can_be_loaded_without_any_address(monkeypatch):
    for variable in links.PAGES.values():
        monkeypatch.delenv(variable, raising=False)
    assert runpy.run_path(links.__file__)["PlatformLinks"].external_views == []
