"""Reports in HDFS: which exist, and their facts and tables. A report does not change after it was written."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from html.parser import HTMLParser
from typing import Any, TypeVar
from urllib.parse import quote

from contracts.hdfs_paths import REPORTS
from vaxpulse_airflow.reports import URL_PREFIX
from vaxpulse_airflow.webhdfs import BLOCK_BYTES, TimedWebHDFSHook, find_status

LIST_SECONDS = 15.0
MAX_PARSED = 100
MAX_FILE_BYTES = 32 << 20
MAX_TRIED = 5  # the latest reports may be incomplete

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class ReportFile:
    """The report of a run. `run` is the id of the run, with dots instead of colons."""

    dag_id: str
    run: str
    written_at: datetime

    @property
    def address(self) -> str:
        """Return the path of the page that shows the report, below Airflow's own path."""
        return f"{URL_PREFIX}/reports/{self.dag_id}/{quote(self.run, safe='')}"


@dataclass(frozen=True)
class Table:
    """A table of a report."""

    header: list[str]
    rows: list[list[str]]


@dataclass
class Content:
    """Facts at the head of a report, and the text and the first table of each section by its title."""

    facts: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)


class Reports:
    """The reports in HDFS.

    Args:
        connect: returns a WebHDFS client.
    """

    def __init__(self, connect: Callable[[], Any] = lambda: TimedWebHDFSHook().get_conn()) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._listed: tuple[float, list[ReportFile]] = (-LIST_SECONDS, [])
        self._parsed: dict[ReportFile, Content | None] = {}
        self._file_lock = threading.Lock()
        self._files: dict[str, tuple[ReportFile, Any]] = {}

    def find_all(self) -> list[ReportFile]:
        """Return the reports of all DAGs, the latest first."""
        with self._lock:
            listed_at, found = self._listed
            if time.monotonic() - listed_at >= LIST_SECONDS:
                found = sorted(self._find(), key=lambda report: report.written_at, reverse=True)
                self._listed = (time.monotonic(), found)
            return found

    def latest(self, dag_id: str) -> tuple[ReportFile, Content] | None:
        """Return the latest complete report of a DAG."""
        for report in [each for each in self.find_all() if each.dag_id == dag_id][:MAX_TRIED]:
            if content := self.read(report):
                return report, content
        return None

    def read(self, report: ReportFile) -> Content | None:
        """Return the content of a report, or None if it was deleted or is not complete."""
        content = self._parsed.get(report)
        if content is None:
            client = self._connect()
            folder = f"{REPORTS}/{report.dag_id}/{report.run}"
            page = read_file(client, f"{folder}/report.html")
            figures = read_file(client, f"{folder}/figures.json")
            # With figures.json only the facts at the head are needed: to parse all of a page takes a second.
            head = page.partition(b"<h2")[0] if page and figures else page
            content = parse_page(head.decode()) if head else None
            if content and figures:
                add_figures(content, json.loads(figures))
            if content is None:
                return None
            if len(self._parsed) >= MAX_PARSED:
                self._parsed.clear()
            self._parsed[report] = content
        return content

    def parse_file(
        self, report: ReportFile, name: str, parse: Callable[[bytes], Parsed], max_bytes: int
    ) -> Parsed | None:
        """Return a parsed file of a report, or None if it has none. The last one of each name is kept."""
        with self._file_lock:  # otherwise two requests would parse it at once
            if name not in self._files or self._files[name][0] != report:
                folder = f"{REPORTS}/{report.dag_id}/{report.run}"
                content = read_file(self._connect(), f"{folder}/{name}", max_bytes)
                if content is None:
                    return None
                self._files[name] = (report, parse(content))
            found: Parsed = self._files[name][1]
            return found

    def _find(self) -> list[ReportFile]:
        client = self._connect()
        if find_status(client, REPORTS) is None:
            return []
        return [
            ReportFile(dag_id, run, datetime.fromtimestamp(status["modificationTime"] / 1000, UTC))
            for dag_id, folder in client.list(REPORTS, status=True)
            if folder["type"] == "DIRECTORY"
            for run, status in client.list(f"{REPORTS}/{dag_id}", status=True)
            if status["type"] == "DIRECTORY"
        ]


def read_file(client: Any, path: str, max_bytes: int = MAX_FILE_BYTES) -> bytes | None:
    """Return the content of a file of a report, or None if it does not exist or is too large."""
    status = find_status(client, path)
    if status is None or status["length"] > max_bytes:
        return None
    with client.read(path) as file:
        return b"".join(iter(partial(file.read, BLOCK_BYTES), b""))


def add_figures(content: Content, sections: list[dict[str, Any]]) -> None:
    """Add the sections of figures.json, whose numbers are not formatted."""
    for section in sections:
        content.texts[section["title"]] = section["text"]
        if section["tables"]:
            table = section["tables"][0]
            rows = [
                [f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in table["rows"]
            ]
            content.tables[section["title"]] = Table(list(table["header"]), rows)


def parse_page(page: str) -> Content:
    """Return the content of a page of `reporting.page`."""
    parser = PageParser()
    parser.feed(page)
    return parser.content


class PageParser(HTMLParser):
    """Collects the facts of a page, and the first table of each section."""

    def __init__(self) -> None:
        super().__init__()
        self.content = Content()
        self._text, self._title, self._fact = "", "", ""
        self._header: list[str] = []
        self._rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Begin an element."""
        if tag == "table":
            self._header, self._rows = [], []
        elif tag == "tr":
            self._rows.append([])
        if tag in ("dt", "dd", "h2", "th", "td"):
            self._text = ""

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        """End an element."""
        if tag == "dt":
            self._fact = self._text
        elif tag == "dd":
            self.content.facts[self._fact] = self._text
        elif tag == "h2":
            self._title = self._text
        elif tag in ("th", "td"):
            self._rows[-1].append(self._text)
        elif tag == "thead":
            [self._header] = self._rows
            self._rows = []
        elif tag == "table":
            self.content.tables.setdefault(self._title, Table(self._header, self._rows))
