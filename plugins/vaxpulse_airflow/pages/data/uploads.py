"""Dumps of the page *Bring a dump*: a folder in HDFS for each, with the file and its inspections.

    uploads/<id>/file/<name>          the file, with its percent-encoded name or URL
    uploads/<id>/inspection-<n>.json  the n-th inspection: name of the file, and the mapping that was given
    uploads/<id>/report-<n>.json      its result

A file of 1 GB takes minutes, therefore neither a download nor an inspection runs in the request.
"""

import json
import logging
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from threading import Semaphore, Thread
from typing import IO, Any
from urllib.parse import quote, unquote

from hdfs import HdfsError
from requests import RequestException

from contracts.delivered_names import build_name
from contracts.hdfs_paths import UPLOADS
from vaxpulse_airflow.download import DEFAULT_LIMITS, open_url, parse_http_url, redact_url
from vaxpulse_airflow.pages.data.inspection import UNKNOWN, inspect_file
from vaxpulse_airflow.webhdfs import BLOCK_BYTES, TimedWebHDFSHook, find_status, upload

log = logging.getLogger(__name__)

MAX_NAME_LENGTH = 150
MAX_RUNNING_DOWNLOADS = 2
MAX_DOWNLOADS = 6  # running and waiting
# After this time without a report, an inspection counts as interrupted. A download takes at most an hour, and
# waits for at most two others.
MAX_SECONDS = 4 * 3600
RETRY_SECONDS = (0, 5, 30, 300)  # wait before each attempt to write a report
NOT_STORED = "HDFS did not store the file. Try again, or look at the health of HDFS."
INTERRUPTED: dict[str, Any] = {
    "outcome": "unknown",
    "records": 0,
    "message": "The server was restarted, or HDFS was not available. Bring the dump again.",
}

Inspection = dict[str, Any]


class BusyError(RuntimeError):
    """The maximum number of downloads is reached."""


class DaemonThreads:
    """Threads that do not delay the end of the server, at most `at_once` at a time."""

    def __init__(self, at_once: int) -> None:
        self._slots = Semaphore(at_once)

    def start(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function in a thread as soon as fewer than `at_once` run."""
        Thread(target=self._call, args=(function, *arguments), daemon=True).start()

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        with self._slots:
            function(*arguments)


class Uploads:
    """The uploads in HDFS.

    Args:
        connect: returns a WebHDFS client.
        run: calls a function for a download or an inspection. Default: in a thread, at most
            MAX_RUNNING_DOWNLOADS downloads and one inspection at a time.
    """

    def __init__(
        self,
        connect: Callable[[], Any] = lambda: TimedWebHDFSHook().get_conn(),
        run: Callable[..., Any] | None = None,
    ) -> None:
        self._connect = connect
        self._run = run or DaemonThreads(at_once=1).start
        self._run_download = run or DaemonThreads(at_once=MAX_RUNNING_DOWNLOADS).start
        self._places = Semaphore(MAX_DOWNLOADS)

    def store(self, file: IO[bytes], name: str) -> str:
        """Copy an open local file to HDFS, start its inspection, and return the id of the upload."""
        client, upload_id = self._connect(), uuid.uuid4().hex
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        stored = stored_name(name)
        blocks = iter(partial(file.read, BLOCK_BYTES), b"")
        upload(client, blocks, size, f"{UPLOADS}/{upload_id}/file", stored)
        self.inspect(upload_id, {})
        return upload_id

    def fetch(self, url: str) -> str:
        """Start the download of an http(s) URL, then its inspection, and return the id of the upload.

        Raises:
            ValueError: it is not such a URL, or it is too long.
            BusyError: MAX_DOWNLOADS downloads run or wait.
        """
        parse_http_url(url)
        build_name(datetime.now(UTC), redact_url(url))  # it raises if the URL is too long
        if not self._places.acquire(blocking=False):
            raise BusyError
        upload_id = uuid.uuid4().hex
        try:
            self._begin(self._connect(), upload_id, 1, redact_url(url), {})
        except BaseException:
            self._places.release()
            raise
        self._run_download(self._fetch, upload_id, url)
        return upload_id

    def find_file(self, upload_id: str) -> str | None:
        """Return the path of an uploaded file, None if there is none or its download has not ended."""
        client, folder = self._connect(), f"{UPLOADS}/{upload_id}/file"
        if find_status(client, folder) is None:
            return None
        names = [name for name in client.list(folder) if not name.startswith(".")]
        return f"{folder}/{names[0]}" if names else None

    def inspect(self, upload_id: str, mapping: Mapping[str, Any]) -> None:
        """Start an inspection of a stored file with a mapping. Its report replaces that of the one before."""
        client = self._connect()
        number = len(find_inspections(self._list(client, upload_id))) + 1
        self._begin(client, upload_id, number, shown_name(self.find_file(upload_id) or ""), mapping)
        self._run(self._inspect, upload_id, number, mapping)

    def read(self, upload_id: str) -> Inspection | None:
        """Return name, given mapping and report (None while it runs) of the latest inspection."""
        client = self._connect()
        files = self._list(client, upload_id)
        inspections = find_inspections(files)
        if not inspections:
            return None
        latest = inspections[-1]
        result = latest.replace("inspection-", "report-")
        report = None
        if result in files:
            report = self._read(client, upload_id, result)
        elif time.time() - files[latest]["modificationTime"] / 1000 > MAX_SECONDS:
            report = INTERRUPTED
        return self._read(client, upload_id, latest) | {"report": report}

    def _fetch(self, upload_id: str, url: str) -> None:
        try:
            problem = self._download(upload_id, url)
        except Exception:  # without a report the page would show "running" until MAX_SECONDS
            log.exception("upload %s cannot be downloaded", upload_id)
            problem = NOT_STORED
        finally:
            self._places.release()
        log.info("upload %s: %s", upload_id, problem or "downloaded")
        if problem:
            self._end(upload_id, 1, {"outcome": "failed", "records": 0, "message": problem})
        else:
            self._run(self._inspect, upload_id, 1, {})

    def _download(self, upload_id: str, url: str) -> str | None:
        """Copy a file from a URL to HDFS. Return an error message for the user, or None."""
        source_errors: list[str] = []

        def record_errors(blocks: Iterator[bytes]) -> Iterator[bytes]:
            try:
                yield from blocks
            except (ValueError, OSError) as error:  # the HDFS client wraps it in an error of its own
                source_errors.append(str(error))
                raise

        client, name = self._connect(), quote(redact_url(url), safe="")
        try:
            with open_url(url, DEFAULT_LIMITS) as (blocks, length):
                upload(client, record_errors(blocks), length, f"{UPLOADS}/{upload_id}/file", name)
        except (HdfsError, RequestException):  # their messages contain internal host names
            if source_errors:
                return source_errors[0]
            raise
        except (ValueError, OSError) as error:
            return str(error)
        return None

    def _inspect(self, upload_id: str, number: int, mapping: Mapping[str, Any]) -> None:
        try:
            report = self._inspect_copy(self._connect(), upload_id, mapping)
        except Exception:  # likewise
            log.exception("upload %s cannot be inspected", upload_id)
            report = UNKNOWN
        self._end(upload_id, number, report)

    def _inspect_copy(self, client: Any, upload_id: str, mapping: Mapping[str, Any]) -> dict[str, Any]:
        with tempfile.TemporaryFile() as local:
            with client.read(self.find_file(upload_id), chunk_size=BLOCK_BYTES) as chunks:
                for chunk in chunks:
                    local.write(chunk)
            local.flush()
            return inspect_file(local, mapping)

    def _begin(self, client: Any, upload_id: str, number: int, name: str, mapping: Mapping[str, Any]) -> None:
        self._write(client, upload_id, f"inspection-{number:04d}.json", {"name": name, "given": mapping})

    def _end(self, upload_id: str, number: int, report: dict[str, Any]) -> None:
        """Write the report of an inspection. Delete the upload if `erase_tweets` has run since its start."""
        for seconds in RETRY_SECONDS:
            time.sleep(seconds)
            try:
                client, folder = self._connect(), f"{UPLOADS}/{upload_id}"
                if find_status(client, f"{folder}/inspection-{number:04d}.json") is None:
                    client.delete(folder, recursive=True)
                elif find_status(client, f"{folder}/report-{number:04d}.json") is None:
                    self._write(client, upload_id, f"report-{number:04d}.json", report)
            except (HdfsError, OSError):
                log.warning("the report of upload %s could not be written", upload_id, exc_info=True)
            else:
                return

    def _list(self, client: Any, upload_id: str) -> dict[str, dict[str, Any]]:
        folder = f"{UPLOADS}/{upload_id}"
        return dict(client.list(folder, status=True)) if find_status(client, folder) else {}

    def _read(self, client: Any, upload_id: str, name: str) -> dict[str, Any]:
        with client.read(f"{UPLOADS}/{upload_id}/{name}") as file:
            found: dict[str, Any] = json.loads(file.read())
        return found

    def _write(self, client: Any, upload_id: str, name: str, value: Mapping[str, Any]) -> None:
        """Write a file and rename it when it is complete, because the page can read it at any time."""
        folder = f"{UPLOADS}/{upload_id}"
        hidden = f"{folder}/.{name}-{uuid.uuid4()}"
        client.write(hidden, data=iter([json.dumps(value).encode()]))
        client.rename(hidden, f"{folder}/{name}")


def find_inspections(names: Iterable[str]) -> list[str]:
    """Return the names of the inspections of an upload in order."""
    return sorted(name for name in names if name.startswith("inspection-"))


def stored_name(name: str) -> str:
    """Return the name of an uploaded file in HDFS: percent-encoded, without folders, not hidden.

    >>> stored_name("a/../june 2.csv"), stored_name("..")
    ('june%202.csv', 'dump')
    """
    last = name.replace("\\", "/").rpartition("/")[2].lstrip("._")
    return quote(last, safe="", errors="replace")[:MAX_NAME_LENGTH] or "dump"


def shown_name(path: str) -> str:
    """Return the name of an uploaded file as the user knows it.

    >>> shown_name("/vaxpulse/uploads/0123/file/june%202.csv")
    'june 2.csv'
    """
    return unquote(path.rpartition("/")[2])
