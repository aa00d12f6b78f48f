"""Links to the other web pages of the platform: in Airflow's menu *Browse*, and at each task."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import BaseOperatorLink, conf

from contracts.mlflow_names import EXPERIMENTS_PAGE, WEB_MODE

# Environment variables with the addresses that a browser can reach, from outside the container network.
PAGES = {"MLflow": "VAXPULSE_MLFLOW_URL", "HDFS": "VAXPULSE_HDFS_URL", "Spark jobs": "VAXPULSE_SPARK_URL"}
HDFS_PATH = re.compile(r"hdfs://[^/]+(/[^,\s\"]+)")
REPORT_OPTION = "--report="


def external_views(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a menu entry for each page that has an address, in the format of Airflow's `external_views`.

    A missing address is not an error: every component loads this file, but only the API server and the
    workers have addresses.
    """
    starts = {"MLflow": EXPERIMENTS_PAGE}
    return [
        {
            "name": name,
            "href": environment[variable] + starts.get(name, ""),
            "destination": "nav",
            "category": "browse",
        }
        for name, variable in PAGES.items()
        if environment.get(variable)
    ]


def page_url(page: str, path: str) -> str:
    """Return the URL of a part of a page, or an empty text if the page has no address."""
    address = os.environ.get(PAGES[page], "").split("#")[0].rstrip("/")
    return address and address + path


def mlflow_url(path: str) -> str:
    """Return the URL of an object in MLflow, or an empty text if MLflow has no address."""
    return page_url("MLflow", f"/#/{path}{WEB_MODE}")


class MlflowRunLink(BaseOperatorLink):
    """The MLflow run of the task. It is available as soon as the task has opened the run."""

    name = "MLflow run"

    def build_url(self, ids: Mapping[str, str]) -> str:
        """Return the URL of a run."""
        return mlflow_url(f"experiments/{ids['experiment']}/runs/{ids['run']}")

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL of the newest run in the task's output."""
        return find_url(operator, self)


class SparkApplicationLink(BaseOperatorLink):
    """The Spark application of the task. The History Server also shows running applications."""

    name = "Spark application"

    def build_url(self, ids: Mapping[str, str]) -> str:
        """Return the URL of an application."""
        return page_url("Spark jobs", f"/history/{ids['application']}/jobs/")

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL of the application in the task's output."""
        return find_url(operator, self)


class HdfsLink(BaseOperatorLink):
    """The folder in HDFS that the task writes, or the first one that it names."""

    name = "HDFS"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL of the folder in the NameNode's file browser."""
        outlets = [asset.uri for asset in operator.outlets if hasattr(asset, "uri")]
        words = list_words(operator)
        reports = [word for word in words if word.startswith(REPORT_OPTION)]
        for text in [*outlets, *reports, *words]:
            if found := HDFS_PATH.search(text):
                return page_url("HDFS", f"#{quote(found[1])}")
        return ""


class ReportLink(BaseOperatorLink):
    """The report that the task has written."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL of the tab *Report* of the run. A task that failed or was skipped has no report."""
        writes = any(word.startswith(REPORT_OPTION) for word in list_words(operator))
        if not writes or not getattr(operator, "is_done", False):
            return ""
        address = conf.get("api", "base_url").rstrip("/")
        return f"{address}/dags/{ti_key.dag_id}/runs/{quote(ti_key.run_id, safe='')}/plugin/report"


def find_url(operator: Any, link: BaseOperatorLink) -> str:
    """Return the URL of a link in the output of a task, or an empty text, for which Airflow shows no link."""
    output = getattr(operator, "output_lines", None)
    return output.urls.get(link.xcom_key, "") if output else ""


def list_words(operator: Any) -> Iterable[str]:
    """Return the words of the command line of a task."""
    return [str(word) for word in getattr(operator, "command", None) or operator.application_args or []]


class PlatformLinks(AirflowPlugin):
    """Adds the menu entries."""

    name = "vaxpulse_links"
    external_views = external_views(os.environ)
