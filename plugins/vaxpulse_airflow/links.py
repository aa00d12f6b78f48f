"""Links from Airflow's own pages to the platform's other pages: MLflow, HDFS, Spark."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

# Where a browser finds each, not where a container does; the deployment says so in the environment.
PAGES = {
    "MLflow": "VAXPULSE_MLFLOW_URL",
    "HDFS": "VAXPULSE_HDFS_URL",
    "Spark jobs": "VAXPULSE_SPARK_URL",
}


def external_views(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a menu entry for each page with an address, in the form that Airflow asks of plugins.

    Every component of Airflow loads this file, and only the API server needs the addresses; a deployment may also lack a page.
    """
    return [
        {"name": name, "href": environment[variable], "destination": "nav", "category": "browse"}
        for name, variable in PAGES.items()
        if environment.get(variable)
    ]


class PlatformLinks(AirflowPlugin):
    """The entries in Airflow's Browse menu."""

    name = "vaxpulse_links"
    external_views = external_views(os.environ)
