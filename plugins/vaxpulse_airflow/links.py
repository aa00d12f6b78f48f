"""Links in Airflow's menu *Browse* to the other web pages of the platform: MLflow, HDFS, Spark."""

import os
from collections.abc import Mapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

# Environment variables with the addresses that a browser can reach, from outside the container network.
PAGES = {"MLflow": "VAXPULSE_MLFLOW_URL", "HDFS": "VAXPULSE_HDFS_URL", "Spark jobs": "VAXPULSE_SPARK_URL"}


def external_views(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a menu entry for each page that has an address, in the format of Airflow's `external_views`.

    A missing address is not an error: every component loads this file, but only the API server has addresses.
    """
    return [
        {"name": name, "href": environment[variable], "destination": "nav", "category": "browse"}
        for name, variable in PAGES.items()
        if environment.get(variable)
    ]


class PlatformLinks(AirflowPlugin):
    """Adds the menu entries."""

    name = "vaxpulse_links"
    external_views = external_views(os.environ)
