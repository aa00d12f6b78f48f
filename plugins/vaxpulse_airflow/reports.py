"""The tab *Report* of a DAG run: shows the report of the run from HDFS, and downloads its files."""

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

from contracts.hdfs_paths import is_id, report_path

if TYPE_CHECKING:
    from fastapi import FastAPI

URL_PREFIX = "/vaxpulse"
# A report is one file. No script runs and nothing is loaded, even if a tweet contains HTML.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; base-uri 'none'"
)
# Types of the files that can be downloaded.
FILE_TYPES = {".csv": "text/csv; charset=utf-8", ".parquet": "application/vnd.apache.parquet"}
BLOCK_BYTES = 1 << 20


def report_app(webhdfs_conn_id: str = "webhdfs_default") -> "FastAPI":
    """Return the web application that serves reports to users who may see the run."""
    # These imports take two seconds. Every component of Airflow loads this file, but only the API server
    # needs them.
    from airflow.api_fastapi.core_api.security import DagAccessEntity, requires_access_dag
    from airflow.providers.apache.hdfs.hooks.webhdfs import AirflowWebHDFSHookException
    from fastapi import Depends, FastAPI
    from fastapi.responses import HTMLResponse, StreamingResponse
    from hdfs import HdfsError
    from requests import RequestException

    from reporting.page import render_message
    from vaxpulse_airflow.webhdfs import TimedWebHDFSHook

    app = FastAPI(title="vaxpulse reports", docs_url=None, redoc_url=None, openapi_url=None)
    may_see_run = Depends(requires_access_dag("GET", DagAccessEntity.RUN))

    def respond(page: bytes | str, status: int = 200) -> HTMLResponse:
        return HTMLResponse(page, status, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})

    def message(status: int, title: str, advice: str) -> HTMLResponse:
        return respond(render_message(title, advice), status)

    def open_file(
        dag_id: str, run_id: str, name: str, missing: HTMLResponse
    ) -> tuple[HTMLResponse | None, Iterator[bytes]]:
        """Return an error page, or the blocks of a file of a report."""
        try:
            path = f"{report_path(dag_id, run_id)}/{name}"
            client = TimedWebHDFSHook(webhdfs_conn_id).get_conn()
            if client.status(path, strict=False) is None:
                return missing, iter(())
            blocks = read_blocks(client, path)
            first = next(blocks, b"")
        except ValueError as error:
            return message(404, "This run does not exist", str(error)), iter(())
        except (AirflowWebHDFSHookException, HdfsError, RequestException) as error:
            advice = f"Check that NameNode and DataNodes run, then reload this page. Error: {error}"
            return message(503, "HDFS does not answer", advice), iter(())
        return None, chain([first], blocks)

    @app.get("/reports/{dag_id}/{run_id}", dependencies=[may_see_run])
    def report(dag_id: str, run_id: str) -> HTMLResponse:
        advice = (
            "This DAG writes no report, the run has not finished, or its report was deleted. apply_retention "
            "deletes old reports, and erase_tweets those that may contain erased tweets."
        )
        problem, blocks = open_file(
            dag_id, run_id, "report.html", message(404, "This run has no report", advice)
        )
        return problem or respond(b"".join(blocks))

    @app.get("/reports/{dag_id}/{run_id}/files/{name}", dependencies=[may_see_run], response_model=None)
    def download(dag_id: str, run_id: str, name: str) -> HTMLResponse | StreamingResponse:
        missing = message(404, "This file does not exist", "The tab Report lists the files of the run.")
        file_type = FILE_TYPES.get(PurePosixPath(name).suffix)
        if file_type is None or not is_id(name):
            return missing
        problem, blocks = open_file(dag_id, run_id, name, missing)
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
        }
        return problem or StreamingResponse(blocks, media_type=file_type, headers=headers)

    return app


def read_blocks(client: Any, path: str) -> Iterator[bytes]:
    """Yield the content of a file in HDFS."""
    with client.read(path) as file:
        while block := file.read(BLOCK_BYTES):
            yield block


class Reports(AirflowPlugin):
    """Adds the tab and the web application."""

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
        """Create the web application. Only the API server reads this property."""
        return [{"name": "vaxpulse reports", "url_prefix": URL_PREFIX, "app": report_app()}]
