"""Dumps of the page *Bring a dump*: a folder in HDFS for each, with the file and its inspections.

    uploads/<id>/file/<name>          the file, with its percent-encoded name or URL
    uploads/<id>/inspection-<n>.json  result of the n-th inspection: report and the mapping that was given

The file is inspected in a process without secrets, with limits on memory and processor time. A file of 1 GB
takes minutes, therefore neither a download nor the inspection runs in the request.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from threading import Semaphore, Thread
from typing import IO, Any
from urllib.parse import quote, unquote

from contracts.delivered_names import build_name
from contracts.hdfs_paths import UPLOADS
from vaxpulse_airflow.download import DEFAULT_LIMITS, open_url, parse_http_url, redact_url
from vaxpulse_airflow.webhdfs import BLOCK_BYTES, TimedWebHDFSHook, find_status, upload

log = logging.getLogger(__name__)

MAX_NAME_LENGTH = 150
MEMORY_BYTES = 1 << 31
PROCESSOR_SECONDS = 1200
# `nice`: Airflow's pages have priority.
LIMITS = ("nice", "-n", "10", "prlimit", f"--data={MEMORY_BYTES}", f"--cpu={PROCESSOR_SECONDS}")
INHERITED = ("PATH", "PYTHONPATH", "LANG", "TMPDIR", "HOME")  # the environment of a service contains secrets
UNKNOWN: dict[str, Any] = {
    "outcome": "unknown",
    "records": 0,
    "message": "The file could not be inspected within the limits on memory and time, or HDFS did not "
    "answer. Load it: if anything is ambiguous, the dump is held, and its page has the questions.",
}

NOT_DOWNLOADED: dict[str, Any] = {
    "outcome": "unknown",
    "records": 0,
    "message": "The dump could not be downloaded, or HDFS did not store it. Try again.",
}

Inspection = dict[str, Any]


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
        run: starts a download or an inspection. Default: in threads, two downloads and one inspection at a
            time.
    """

    def __init__(
        self,
        connect: Callable[[], Any] = lambda: TimedWebHDFSHook().get_conn(),
        run: Callable[..., Any] | None = None,
    ) -> None:
        self._connect = connect
        self._run = run or DaemonThreads(at_once=1).start
        self._run_download = run or DaemonThreads(at_once=2).start

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
        """
        parse_http_url(url)
        build_name(datetime.now(UTC), redact_url(url))  # it raises if the URL is too long
        client, upload_id = self._connect(), uuid.uuid4().hex
        self._run_download(self._fetch, upload_id, url, self._announce(client, upload_id, {}))
        return upload_id

    def find_file(self, upload_id: str) -> str | None:
        """Return the path of an uploaded file, None if there is none or its download has not ended."""
        client, folder = self._connect(), f"{UPLOADS}/{upload_id}/file"
        if find_status(client, folder) is None:
            return None
        names = [name for name in client.list(folder) if not name.startswith(".")]
        return f"{folder}/{names[0]}" if names else None

    def inspect(self, upload_id: str, mapping: Mapping[str, Any]) -> None:
        """Start an inspection with a mapping. Its result replaces the result of the one before."""
        self._run(self._inspect, upload_id, mapping, self._announce(self._connect(), upload_id, mapping))

    def read(self, upload_id: str) -> Inspection | None:
        """Return the latest inspection: the mapping that was given, and the report, None while it runs."""
        client, folder = self._connect(), f"{UPLOADS}/{upload_id}"
        if find_status(client, folder) is None:
            return None
        results = self._results(client, folder)
        if not results:
            return None
        with client.read(f"{folder}/{results[-1]}") as file:
            found: Inspection = json.loads(file.read())
        return found

    def _fetch(self, upload_id: str, url: str, result: str) -> None:
        client = self._connect()
        try:
            with open_url(url, DEFAULT_LIMITS) as (blocks, length):
                upload(client, blocks, length, f"{UPLOADS}/{upload_id}/file", quote(redact_url(url), safe=""))
        except (ValueError, OSError) as error:
            self._replace(client, result, {}, {"outcome": "refuse", "records": 0, "message": str(error)})
        except Exception:
            log.exception("the download of upload %s has failed", upload_id)
            self._replace(client, result, {}, NOT_DOWNLOADED)
        else:
            self._run(self._inspect, upload_id, {}, result)

    def _inspect(self, upload_id: str, mapping: Mapping[str, Any], result: str) -> None:
        client = self._connect()
        try:
            report = self._inspect_copy(client, upload_id, mapping)
        except Exception:  # nobody waits for this thread, and the page would show "running" for ever
            log.exception("upload %s cannot be inspected", upload_id)
            report = UNKNOWN
        self._replace(client, result, mapping, report)

    def _inspect_copy(self, client: Any, upload_id: str, mapping: Mapping[str, Any]) -> dict[str, Any]:
        with tempfile.TemporaryFile() as local:
            with client.read(self.find_file(upload_id), chunk_size=BLOCK_BYTES) as chunks:
                for chunk in chunks:
                    local.write(chunk)
            local.flush()
            return inspect_file(local, mapping)

    def _announce(self, client: Any, upload_id: str, mapping: Mapping[str, Any]) -> str:
        """Write the result of an inspection that has not ended, and return its path."""
        folder = f"{UPLOADS}/{upload_id}"
        number = len(self._results(client, folder)) + 1 if find_status(client, folder) else 1
        result = f"{folder}/inspection-{number:04d}.json"
        self._write(client, result, mapping, None)
        return result

    def _replace(self, client: Any, result: str, mapping: Mapping[str, Any], report: dict[str, Any]) -> None:
        client.delete(result)
        self._write(client, result, mapping, report)

    def _results(self, client: Any, folder: str) -> list[str]:
        return sorted(name for name in client.list(folder) if name.startswith("inspection-"))

    def _write(self, client: Any, path: str, mapping: Mapping[str, Any], report: Any) -> None:
        client.write(path, data=iter([json.dumps({"given": mapping, "report": report}).encode()]))


def inspect_file(file: IO[bytes], mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report of `loading.inspect` about an open file, or UNKNOWN if it exceeds a limit."""
    path = f"/proc/self/fd/{file.fileno()}"
    options = ["--json", "--details", "--mapping", json.dumps(mapping)]
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    done = subprocess.run(
        [*LIMITS, sys.executable, "-m", "loading.inspect", path, *options],
        env=environment | {"POLARS_MAX_THREADS": "1"},
        pass_fds=(file.fileno(),),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return UNKNOWN
    return report


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
