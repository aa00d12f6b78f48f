"""Delivery of dumps into HDFS, from the landing folders or from an address.

A file is renamed before it is read, so that a file that arrives later gets another name. A delivery is
complete or absent.
"""

import logging
import re
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from contracts.delivered_names import build_name, parse_name, show_source
from contracts.hdfs_paths import DELIVERED, LANDING, UPLOADS
from vaxpulse_airflow.download import Limits, open_url, redact_url
from vaxpulse_airflow.local_landing import (
    Delivered,
    deliver_landed_locally,
    deliver_local_file,
    describe_problem,
    is_old_enough,
)
from vaxpulse_airflow.names import is_finished
from vaxpulse_airflow.webhdfs import (
    BLOCK_BYTES,
    UPLOAD_PREFIX,
    find_status,
    is_closed,
    path_in_file_system,
    upload,
)

if TYPE_CHECKING:
    from hdfs import Client

log = logging.getLogger(__name__)

MAX_UPLOAD_AGE = timedelta(days=1)  # older uploads were interrupted
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def deliver_everything(client: "Client", landing: Path) -> None:
    """Deliver every complete file of both landing folders.

    Raises:
        RuntimeError: some files could not be delivered. All others were.
    """
    try:
        in_hdfs = deliver_landed(client)
    except Exception as error:  # continue with the local folder
        in_hdfs = Delivered([], [describe_problem(LANDING, error)])
    local = deliver_landed_locally(client, landing)
    for source in (*in_hdfs.sources, *local.sources):
        log.info("delivered: %s", source)
    if problems := [*in_hdfs.problems, *local.problems]:
        raise RuntimeError(
            f"could not be delivered: {'; '.join(problems)}. The next run tries again. If the fault remains, "
            "rename the file or remove it"
        )


def deliver_landed(client: "Client") -> Delivered:
    """Deliver every complete file of the landing folder in HDFS.

    A file is first renamed to a hidden name: only one of several processes succeeds. It gets its final name
    when it is closed. Hidden files of interrupted calls are included. The next call retries failed files.
    """
    client.makedirs(DELIVERED)
    delivered, now = Delivered([], []), datetime.now(UTC)

    @contextmanager
    def isolated(name: str, path: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # continue with the other files
            if still_exists(client, path):  # otherwise another process has delivered it
                delivered.problems.append(describe_problem(name, error))

    for number, name in enumerate(list_landed_files(client)):
        path = f"{LANDING}/{name}"
        with isolated(name, path):
            # DataNodes look for the NFC form of a name. Other files are checked under their hidden name.
            if not unicodedata.is_normalized("NFC", name) or is_closed(client, path):
                claim(client, path, now + timedelta(milliseconds=number), name)
    for name, status in sorted(client.list(DELIVERED, status=True)):
        path = f"{DELIVERED}/{name}"
        with isolated(name, path):
            parsed = parse_name(name.removeprefix("."))
            if parsed is None and (is_finished(name) or not name.isprintable()):
                # Another program has put it there. `loading` cannot list a folder with control characters.
                claim(client, path, now, name)
            elif name.startswith(UPLOAD_PREFIX):
                if time.time() - status["modificationTime"] / 1000 > MAX_UPLOAD_AGE.total_seconds():
                    client.delete(path)
            elif status["type"] != "FILE":
                raise ValueError(f"it is a folder: move {path} away")
            elif parsed and name.startswith(".") and is_closed(client, path):
                client.rename(path, f"{DELIVERED}/{name[1:]}")
                delivered.sources.append(show_source(parsed[1]))
    return delivered


def claim(client: "Client", path: str, moment: datetime, source: str) -> None:
    """Rename a file to an unused hidden name of a delivered file."""
    client.rename(path, f"{DELIVERED}/.{unused_name(client, moment, source)}")


def still_exists(client: "Client", path: str) -> bool:
    """Return whether a file exists. If HDFS does not answer or refuses to, assume that it does."""
    try:
        return find_status(client, path) is not None
    except Exception:  # the caller reports its own error
        return True


def list_landed_files(client: "Client") -> list[str]:
    """Return the complete files of the landing folder in HDFS, ordered by mtime, which a move preserves."""
    if find_status(client, LANDING) is None:
        return []
    files = [
        (status["modificationTime"] / 1000, name)
        for name, status in client.list(LANDING, status=True)
        if status["type"] == "FILE"
    ]
    return [name for mtime, name in sorted(files) if is_old_enough(mtime) and is_finished(name)]


def unused_name(client: "Client", moment: datetime, source: str) -> str:
    """Return an unused name of a delivered file. The time is increased by milliseconds if necessary."""
    while any(
        find_status(client, f"{DELIVERED}/{hidden}{build_name(moment, source)}") for hidden in (".", "")
    ):
        moment += timedelta(milliseconds=1)
    return build_name(moment, source)


def uploaded_name(path: str) -> str:
    """Return the source of a file in HDFS: the name that it had on the user's machine, or its path.

    >>> uploaded_name("/vaxpulse/uploads/0123/file/june%202.csv"), uploaded_name("/data/june.csv")
    ('june 2.csv', '/data/june.csv')
    """
    return unquote(path.rpartition("/")[2]) if path.startswith(f"{UPLOADS}/") else path


def deliver_dump(client: "Client", dump: str, landing: Path, file_system: str, limits: Limits) -> str:
    """Deliver one dump.

    Args:
        client: WebHDFS client.
        dump: a path in the local landing folder, an http(s) URL, or an hdfs:// URI.
        landing: local landing folder.
        file_system: file system of `client`, as hdfs://host:port.
        limits: bounds on a download.

    Returns:
        The source of the dump as `loading` records it. It contains no secret part of a URL.

    Raises:
        ValueError: the dump does not exist or must not be read.
        OSError: the dump was not read completely.
    """
    scheme, moment = SCHEME.match(dump), datetime.now(UTC)
    match scheme and scheme[1].lower():
        case "http" | "https":
            source = redact_url(dump)
            name = build_name(moment, source)  # before the download: it raises if the URL is too long
            with open_url(dump, limits) as (blocks, expected_bytes):
                upload(client, blocks, expected_bytes, DELIVERED, name)
            return show_source(source)
        case "hdfs":
            path = path_in_file_system(dump, file_system)
            if find_status(client, path) is None:
                raise ValueError(f"HDFS has no file {path}")
            if not is_closed(client, path):
                raise ValueError(
                    f"the file {path} in HDFS is open for writing: try again when it is complete"
                )
            with client.read(path, chunk_size=BLOCK_BYTES) as chunks:
                length = client.status(path)["length"]
                source = uploaded_name(path)
                upload(client, iter(chunks), length, DELIVERED, build_name(moment, source))
            return show_source(source)
        case "file" | None:
            return deliver_local_file(client, dump.removeprefix("file://"), landing, moment)
    raise ValueError(
        f"cannot read {dump.partition('://')[0]}://: use a path in the landing folder, an hdfs:// URI or an "
        "http(s) URL"
    )
