"""Measure the pages in Airflow with many dumps, quarantined records and scored tweets, in a temporary folder.

    PYTHONPATH=plugins python -m benchmarks.pages --dumps 1000 --quarantined 10000 --tweets 1000000

Tables and the report of score_tweets are synthetic (benchmarks/pages/tables.py). Each page is requested
through the web application by a user with all permissions. Airflow's API has empty answers.

Warm: nothing has changed. Changed: before each request a dump with a quarantined record is added and the
report is replaced, and the page reads both (a server would reuse them for some seconds). New: the first
request to a server. The output is Markdown for docs/benchmarks.md.
"""

import argparse
import logging
import os
import stat
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

from hdfs import HdfsError

from benchmarks.measurement import CORES
from benchmarks.pages import tables as page_tables
from contracts.hdfs_paths import TABLES
from contracts.tables import DUMPS, QUARANTINE

LIMIT_MS = 500
TAG, DAYS = "hashtag=hashtag1", "from=2023-03-01&to=2024-02-20"
PAGES = {
    "Overview": "/overview",
    "Bring a dump": "/bring",
    "Dumps": "/dumps",
    "Dumps, search": "/dumps?q=00999",
    "Dump": f"/dumps/{page_tables.sha256_of(1)}",
    "Dump, many records, search": f"/dumps/{page_tables.sha256_of(0)}?q=record",
    "Sentiment by week": "/sentiment",
    "Sentiment by day": "/sentiment?by=day",
    "Sentiment by day, hashtag": f"/sentiment?by=day&{TAG}",
    "Sentiment by hashtag": "/sentiment?by=hashtag",
    "Sentiment by hashtag, days, search": f"/sentiment?by=hashtag&q=9&{DAYS}",
    "Sentiment by dump": "/sentiment?by=dump",
    "Sentiment by dump, days": f"/sentiment?by=dump&{DAYS}",
    "Models": "/models",
    "Reports": "/reports",
}
# Variables that the plugins read at import.
ENVIRONMENT = {
    "VAXPULSE_MLFLOW_URL": "http://mlflow:5000",
    "VAXPULSE_HDFS_URL": "http://namenode:9870",
    "VAXPULSE_SPARK_URL": "http://spark:18080",
    "AIRFLOW__API__SECRET_KEY": "of the benchmark",
}


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure the pages.")
    parser.add_argument("--dumps", type=int, default=1_000)
    parser.add_argument("--quarantined", type=int, default=10_000)
    parser.add_argument("--tweets", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=20)
    return parser


class AuthManager:
    """Permits everything."""

    def is_authorized_dag(self, **_: Any) -> bool:
        return True


class User:
    """A user of Airflow."""

    def get_id(self) -> str:
        return "benchmark"

    def get_name(self) -> str:
        return "benchmark"


class EmptyApi:
    """Airflow's API without runs."""

    def get(self, path: str, query: Any) -> dict[str, list[Any]]:
        return {"dag_runs": [], "task_instances": [], "hitl_details": []}


class FolderClient:
    """A WebHDFS client for reading below a local folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def status(self, path: str) -> dict[str, Any]:
        try:
            found = Path(f"{self.folder}{path}").stat()
        except FileNotFoundError:
            raise HdfsError(path, exception="FileNotFoundException") from None
        kind = "DIRECTORY" if stat.S_ISDIR(found.st_mode) else "FILE"
        return {"type": kind, "length": found.st_size, "modificationTime": found.st_mtime * 1000}

    def list(self, path: str, status: bool) -> list[tuple[str, dict[str, Any]]]:
        names = [each.name for each in Path(f"{self.folder}{path}").iterdir()]
        return [(name, self.status(f"{path}/{name}")) for name in names]

    def read(self, path: str) -> IO[bytes]:
        return Path(f"{self.folder}{path}").open("rb")


class Server:
    """The web application on tables and a report in a folder."""

    def __init__(self, folder: Path, report: Path) -> None:
        from airflow.api_fastapi.core_api import security
        from fastapi.testclient import TestClient

        from vaxpulse_airflow.pages.app import build_app
        from vaxpulse_airflow.pages.data.report_files import Reports
        from vaxpulse_airflow.pages.data.tables import Tables

        self.tables, self.report, self.numbers = f"{folder}{TABLES}", report, count(100_000)
        self.app = build_app(
            Tables(lambda table: f"{self.tables}/{table.name}"), Reports(lambda: FolderClient(folder))
        )
        self.app.state.open_api = lambda request: EmptyApi()
        self.app.dependency_overrides[security.get_user] = User
        self.browser = TestClient(self.app)

    def seconds(self, address: str) -> float:
        """Return the time of a request."""
        started = time.perf_counter()
        answer = self.browser.get(address)
        if answer.status_code != 200:
            raise RuntimeError(f"{address}: {answer.status_code} {answer.text}")
        return time.perf_counter() - started

    def change(self) -> None:
        """Add a dump with a record, write the report again, and let what the pages have reused expire."""
        number = next(self.numbers)
        sha256 = page_tables.sha256_of(number)
        dump, records = page_tables.dump_row(number, 9, 1), page_tables.quarantine_rows(number, 1)
        page_tables.append(f"{self.tables}/{DUMPS.name}", DUMPS, [(sha256, [dump])])
        page_tables.append(f"{self.tables}/{QUARANTINE.name}", QUARANTINE, [(sha256, records)])
        os.utime(self.report)
        for table in self.app.state.tables._tables.values():
            table.checked_at -= 60
        self.app.state.reports._listed = (-1e9, [])

    def restart(self) -> None:
        """Forget everything, like a new server."""
        tables, reports = self.app.state.tables, self.app.state.reports
        self.app.state.tables, self.app.state.reports = (
            type(tables)(tables._locate),
            type(reports)(reports._connect),
        )


def measure(server: Server, address: str, requests: int, prepare: Callable[[], None]) -> str:
    """Return median and maximum of the requests in ms, after `prepare` each."""
    milliseconds = []
    for _ in range(requests):
        prepare()
        milliseconds.append(server.seconds(address) * 1000)
    return f"{statistics.median(milliseconds):.0f} | {max(milliseconds):.0f}"


def measure_pages(server: Server, requests: int) -> None:
    print(
        "| page | warm, ms | max | changed, ms | max | new server, ms | max |\n|---|---|---|---|---|---|---|"
    )
    for name, address in PAGES.items():
        server.seconds(address)
        cells = [
            measure(server, address, requests, prepare)
            for prepare in (lambda: None, server.change, server.restart)
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    options = arg_parser().parse_args()
    os.environ |= ENVIRONMENT
    from airflow.api_fastapi.core_api import security

    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line for each request
    with (
        tempfile.TemporaryDirectory(prefix="bench-pages-") as name,
        patch.object(security, "get_auth_manager", AuthManager),
        patch.object(security.DagModel, "get_team_name", lambda _: None),
    ):
        folder = Path(name)
        page_tables.write_dumps(f"{folder}{TABLES}", options.dumps, options.tweets, options.quarantined)
        report = page_tables.write_report(folder, options.tweets, options.dumps)
        size = (report / "sentiment.parquet").stat().st_size
        print(
            f"{options.dumps:,} dumps, {options.quarantined:,} invalid records, {options.tweets:,} tweets, "
            f"{CORES} cores, load {os.getloadavg()[0]:.1f}, sentiment.parquet {size / 1e6:.1f} MB. "
            f"Medians of {options.requests} requests, limit {LIMIT_MS} ms\n"
        )
        measure_pages(Server(folder, report), options.requests)


if __name__ == "__main__":
    main()
