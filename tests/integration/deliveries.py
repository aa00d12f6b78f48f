"""Put dumps into the landing folder in HDFS, and answer their reviews by the REST API as a user does."""

import getpass
import posixpath
from typing import Any
from urllib.parse import quote

import requests
from hdfs import Client, InsecureClient

from contracts import hdfs_paths
from deploy.common.airflow_api import REVIEW_DAG, AirflowApi
from deploy.common.steps import wait_until
from deploy.embedded.settings import Settings

OPEN_REVIEWS = f"/api/v2/dags/~/dagRuns/~/hitlDetails?dag_id={REVIEW_DAG}&response_received=false&limit=100"
REVIEW_SECONDS = 90


def connect_hdfs(settings: Settings) -> Client:
    """Return a client of HDFS with the header that the DataNode requires."""
    session = requests.Session()
    session.headers[settings.secrets["datanode_header"]] = "test"
    client = InsecureClient(settings.url("namenode"), user=getpass.getuser(), session=session)
    client.resolve = posixpath.normpath  # HdfsCLI expands #LATEST
    return client


def land(hdfs: Client, name: str, content: bytes) -> None:
    """Write a dump into the landing folder under a hidden name, then rename it."""
    hdfs.write(f"{hdfs_paths.LANDING}/.{name}", data=content)
    hdfs.rename(f"{hdfs_paths.LANDING}/.{name}", f"{hdfs_paths.LANDING}/{name}")


def wait_for_review(api: AirflowApi, sha256: str) -> dict[str, Any]:
    """Return the form of a held dump that Airflow shows under Required Actions."""

    def find() -> dict[str, Any] | None:
        reviews = api.call("GET", OPEN_REVIEWS)["hitl_details"]
        return next((each for each in reviews if is_about(each, sha256)), None)

    review = wait_until(find, REVIEW_SECONDS, f"no review of {sha256} waits for an answer", pause_seconds=1)
    return dict(review)


def is_about(review: dict[str, Any], sha256: str) -> bool:
    """Return whether a review of a dump waits. The body of its form contains the SHA-256.

    A cleared task has its form again before it waits for an answer; an answer to this form would be lost.
    """
    return sha256 in review["body"] and review["task_instance"]["state"] == "awaiting_input"


def run_of(review: dict[str, Any]) -> str:
    """Return the id of the run of `review_dump`."""
    return str(review["task_instance"]["dag_run_id"])


def answer(api: AirflowApi, review: dict[str, Any], option: str, **fields: Any) -> None:
    """Fill in the form of a review and submit it, again if the form comes back.

    Airflow 3.3 can lose an answer that is given within seconds after the form has appeared: the executor
    reports the end of the process that showed the form after the task has been queued with the answer, the
    scheduler takes this for a failure, and the retry shows the form again (apache/airflow#72716).
    """
    run = f"/api/v2/dags/{REVIEW_DAG}/dagRuns/{quote(run_of(review), safe='')}"
    body = {"chosen_options": [option], "params_input": fields}

    def is_accepted() -> bool:
        task = api.call("GET", f"{run}/taskInstances/decide")
        if task["state"] == "awaiting_input":
            api.call("PATCH", f"{run}/taskInstances/decide/-1/hitlDetails", json=body)
        return task["state"] in ("success", "failed")

    wait_until(is_accepted, REVIEW_SECONDS, "Airflow accepts no answer", pause_seconds=1)


def clear_decision(api: AirflowApi, review: dict[str, Any]) -> None:
    """Clear `decide`, as the message about a wrong answer says."""
    body = {"dag_run_id": run_of(review), "task_ids": ["decide"], "include_downstream": True}
    body |= {"dry_run": False, "only_failed": False}
    api.call("POST", f"/api/v2/dags/{REVIEW_DAG}/clearTaskInstances", json=body)
