"""The tab *Report* of a DAG run: the page that the run has put into HDFS, shown in Airflow's UI, and the files beside it to download."""

import re
from collections.abc import Iterator
from functools import cached_property
from html import escape
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from fastapi import FastAPI

REPORTS_FOLDER = "/vaxpulse/reports"  # within HDFS
URL_PREFIX = "/vaxpulse"
# A report is text, style and pictures in one file: whatever a tweet has smuggled into it, nothing runs and nothing is fetched.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; base-uri 'none'"
)
ONE_FOLDER = re.compile(r"(?!\.+$)[\w.~:+-]+", re.ASCII)  # what Airflow allows in the ids of DAGs and runs

# What may be downloaded, and as what.
FILE_TYPES = {".csv": "text/csv; charset=utf-8", ".parquet": "application/vnd.apache.parquet"}
PIECE_BYTES = 1 << 20

MESSAGE_PAGE = """<!doctype html>
<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>{title}</title>
<body style="font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem">
<h1 style="font-size: 1.25rem">{title}</h1><p>{advice}</p>
"""


def report_folder(dag_id: str, run_id: str) -> str:
    """Return the folder within HDFS of a run's report; HDFS forbids colons in names, so there they are dots.

    >>> report_folder("explore_tweets", "manual__2026-11-24T02:11:08+00:00")
    '/vaxpulse/reports/explore_tweets/manual__2026-11-24T02.11.08+00.00'

    Raises:
        ValueError: an id that Airflow gives to no DAG and no run.
    """
    for part in (dag_id, run_id):
        if not ONE_FOLDER.fullmatch(part):
            raise ValueError(f"no DAG and no run has the id {part!r}")
    return f"{REPORTS_FOLDER}/{dag_id}/{run_id.replace(':', '.')}"


def report_app(webhdfs_conn_id: str = "webhdfs_default") -> "FastAPI":
    """Return the web application that gives out reports to those who may see the run."""
    # Every component of Airflow loads this file, only the API server needs these: two seconds.
    from airflow.api_fastapi.core_api.security import DagAccessEntity, requires_access_dag
    from airflow.providers.apache.hdfs.hooks.webhdfs import AirflowWebHDFSHookException
    from fastapi import Depends, FastAPI
    from fastapi.responses import HTMLResponse, StreamingResponse
    from hdfs import HdfsError
    from requests import RequestException

    from vaxpulse_airflow.webhdfs import TimedWebHDFSHook

    app = FastAPI(title="vaxpulse reports", docs_url=None, redoc_url=None, openapi_url=None)

    def answer(page: bytes | str, status: int = 200) -> HTMLResponse:
        return HTMLResponse(page, status, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})

    def message(status: int, title: str, advice: str) -> HTMLResponse:
        return answer(MESSAGE_PAGE.format(title=escape(title), advice=escape(advice)), status)

    may_see_run = Depends(requires_access_dag("GET", DagAccessEntity.RUN))

    def open_file(
        dag_id: str, run_id: str, name: str, absent: HTMLResponse
    ) -> tuple[HTMLResponse | None, Iterator[bytes]]:
        """Return what is wrong, or the content of a file of a report in pieces."""
        try:
            path = f"{report_folder(dag_id, run_id)}/{name}"
            client = TimedWebHDFSHook(webhdfs_conn_id).get_conn()
            if client.status(path, strict=False) is None:
                return absent, iter(())
            pieces = read_in_pieces(client, path)
            first = next(pieces, b"")
        except ValueError as error:
            return message(404, "There is no such run", str(error)), iter(())
        except (AirflowWebHDFSHookException, HdfsError, RequestException) as error:
            advice = f"See that its NameNode and DataNode are up, then load this page again. It said: {error}"
            return message(503, "HDFS does not answer", advice), iter(())
        return None, chain([first], pieces)

    @app.get("/reports/{dag_id}/{run_id}", dependencies=[may_see_run])
    def report(dag_id: str, run_id: str) -> HTMLResponse:
        advice = "Reports are made by explore_tweets and score_tweets: this is another DAG, or the run is not done."
        problem, pieces = open_file(
            dag_id, run_id, "report.html", message(404, "This run has no report", advice)
        )
        return problem or answer(b"".join(pieces))

    @app.get("/reports/{dag_id}/{run_id}/files/{name}", dependencies=[may_see_run], response_model=None)
    def download(dag_id: str, run_id: str, name: str) -> HTMLResponse | StreamingResponse:
        absent = message(
            404, "There is no such file", "The tab Report of the run shows the files that can be downloaded."
        )
        file_type = FILE_TYPES.get(PurePosixPath(name).suffix)
        if file_type is None or not ONE_FOLDER.fullmatch(name):
            return absent
        problem, pieces = open_file(dag_id, run_id, name, absent)
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
        }
        return problem or StreamingResponse(pieces, media_type=file_type, headers=headers)

    return app


def read_in_pieces(client: Any, path: str) -> Iterator[bytes]:
    """Yield the content of a file in HDFS."""
    with client.read(path) as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


class Reports(AirflowPlugin):
    """The tab, and the application behind it."""

    name = "vaxpulse_reports"
    external_views = [  # noqa: RUF012 (the base class has a list)
        {
            "name": "Report",
            "href": f"{URL_PREFIX}/reports/{{DAG_ID}}/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "report",
        }
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Made when the API server asks for it."""
        return [{"name": "vaxpulse reports", "url_prefix": URL_PREFIX, "app": report_app()}]
