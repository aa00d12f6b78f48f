"""Delivery of dumps into HDFS, from the landing folders or from an address.

A file is renamed before it is read: no process writes to it afterwards. A delivery is complete or absent.
"""

import logging
import os
import socket
import stat
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import requests

from contracts.hdfs_paths import DELIVERED, LANDING
from vaxpulse_airflow.download import open_url, redact_url
from vaxpulse_airflow.names import delivered_name, is_finished, source_in_name
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

# A file that was not modified for this long is complete. The delay protects local files that are written in
# place. HDFS updates the mtime only when a file is closed: see is_closed.
MIN_AGE_SECONDS = 10.0
MAX_UPLOAD_AGE = timedelta(days=1)  # older uploads were interrupted


class Delivered(NamedTuple):
    """Names of the delivered files, and a message for each file that could not be delivered."""

    sources: list[str]
    problems: list[str]


def deliver_everything(client: "Client", landing: Path) -> None:
    """Deliver every complete file of both landing folders.

    Raises:
        RuntimeError: some files could not be delivered. All others were.
    """
    in_hdfs, local = deliver_landed(client), deliver_landed_locally(client, landing)
    for source in (*in_hdfs.sources, *local.sources):
        log.info("delivered: %s", source)
    if problems := [*in_hdfs.problems, *local.problems]:
        raise RuntimeError("could not be delivered: " + "; ".join(problems))


def deliver_landed(client: "Client") -> Delivered:
    """Deliver every complete file of the landing folder in HDFS.

    A file is first renamed to a hidden name: only one of several processes succeeds. It gets its final name
    when it is closed. Hidden files of interrupted calls are included. The next call retries failed files.
    """
    from hdfs import HdfsError

    client.makedirs(DELIVERED)
    now, problems = datetime.now(UTC), []
    for number, name in enumerate(list_landed_files(client)):
        path = f"{LANDING}/{name}"
        try:
            if is_closed(client, path):
                moment = now + timedelta(milliseconds=number)
                client.rename(path, f"{DELIVERED}/.{unused_name(client, moment, name)}")
        except (HdfsError, requests.RequestException) as error:
            if still_exists(client, path):  # otherwise another process has delivered it
                problems.append(f"{name}: {error}")
    sources = []
    for name, status in sorted(client.list(DELIVERED, status=True)):
        path = f"{DELIVERED}/{name}"
        if name.startswith(UPLOAD_PREFIX):
            if time.time() - status["modificationTime"] / 1000 > MAX_UPLOAD_AGE.total_seconds():
                client.delete(path)
        elif name.startswith("."):
            try:
                if is_closed(client, path):
                    client.rename(path, f"{DELIVERED}/{name[1:]}")
                    sources.append(source_in_name(name))
            except (HdfsError, requests.RequestException) as error:
                if still_exists(client, path):
                    problems.append(f"{name}: {error}")
    return Delivered(sources, problems)


def still_exists(client: "Client", path: str) -> bool:
    """Return whether a file exists. If HDFS does not answer, assume that it does."""
    try:
        return find_status(client, path) is not None
    except requests.RequestException:
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


def is_old_enough(mtime: float) -> bool:
    """Return whether a file was not modified within MIN_AGE_SECONDS. Future mtimes are ignored.

    Args:
        mtime: in seconds since 1970.
    """
    return not time.time() - MIN_AGE_SECONDS < mtime <= time.time()


def unused_name(client: "Client", moment: datetime, source: str) -> str:
    """Return an unused name of a delivered file. The time is increased by milliseconds if necessary."""
    while any(
        find_status(client, f"{DELIVERED}/{hidden}{delivered_name(moment, source)}") for hidden in (".", "")
    ):
        moment += timedelta(milliseconds=1)
    return delivered_name(moment, source)


def deliver_landed_locally(client: "Client", landing: Path) -> Delivered:
    """Deliver every complete file of a local landing folder.

    A file is claimed: it is renamed into the subfolder `uploading`. After its upload it is deleted.
    """
    sources: list[str] = []
    try:
        require_landing_folder(landing)
    except ValueError as error:
        return Delivered(sources, [str(error)])
    problems = []
    for path in list_landed_local_files(landing):
        try:
            claim_local_file(path, landing, datetime.fromtimestamp(path.stat().st_ctime, UTC))
        except OSError as error:
            problems.append(f"{path.name!r}: {type(error).__name__}: {error}")
    for path in list_claimed_files(landing):
        try:
            upload_local_file(client, path)
            sources.append(source_in_name(path.name))
        except Exception as error:  # continue with the other files
            problems.append(f"{path.name}: {type(error).__name__}: {error}")
    return Delivered(sources, problems)


def require_landing_folder(landing: Path) -> None:
    """Raise ValueError if this worker has no landing folder. Any worker may run the task."""
    if not landing.is_dir():
        raise ValueError(
            f"the worker {socket.gethostname()} has no folder {landing}: "
            "VAXPULSE_LANDING must name a folder that all workers share"
        )


def list_landed_local_files(landing: Path) -> list[Path]:
    """Return the complete files of a local landing folder, ordered by ctime. Symlinks are skipped."""
    files = [(path.lstat(), path) for path in landing.iterdir() if is_finished(path.name)]
    complete = [
        (status.st_ctime, path)
        for status, path in files
        if stat.S_ISREG(status.st_mode) and is_old_enough(status.st_mtime)
    ]
    return [path for _, path in sorted(complete)]


def prepare_claims_folder(landing: Path) -> Path:
    """Create and return the subfolder of claimed files, which no other user may write to.

    Raises:
        PermissionError: another user has created it. A symlink in it could point to any file.
    """
    folder = landing / "uploading"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(
            f"{folder} must be a folder that only the user of Airflow's tasks may write to: remove it"
        )
    return folder


def list_claimed_files(landing: Path) -> list[Path]:
    """Return the files that were claimed and not uploaded yet, in the order of their arrival."""
    return sorted(prepare_claims_folder(landing).iterdir()) if (landing / "uploading").exists() else []


def claim_local_file(path: Path, landing: Path, moment: datetime) -> None:
    """Rename a file into `uploading`. Do nothing if another process has claimed it."""
    folder = prepare_claims_folder(landing)
    while (folder / delivered_name(moment, path.name)).exists():
        moment += timedelta(milliseconds=1)
    try:
        path.rename(folder / delivered_name(moment, path.name))
    except FileNotFoundError:
        return
    if path.parent != landing:
        with suppress(OSError):
            path.parent.rmdir()  # a folder that was created for this file alone


def upload_local_file(client: "Client", path: Path) -> None:
    """Upload a claimed file, then delete it."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:  # noqa: PTH123 (a descriptor follows no symlink)
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        upload(client, iter(lambda: file.read(BLOCK_BYTES), b""), status.st_size, DELIVERED, path.name)
    path.unlink()


def deliver_dump(client: "Client", dump: str, landing: Path, file_system: str) -> str:
    """Deliver one dump.

    Args:
        client: WebHDFS client.
        dump: a path in the local landing folder, an http(s) URL, or an hdfs:// URI.
        landing: local landing folder.
        file_system: file system of `client`, as hdfs://host:port.

    Returns:
        The source of the dump. It contains no secret part of a URL.

    Raises:
        ValueError: the dump does not exist or must not be read.
        OSError: the dump was not read completely.
    """
    scheme = urlsplit(dump).scheme
    moment = datetime.now(UTC)
    if scheme in ("http", "https"):
        source = redact_url(dump)
        with open_url(dump) as (blocks, expected_bytes):
            upload(client, blocks, expected_bytes, DELIVERED, delivered_name(moment, source))
        return source
    if scheme == "hdfs":
        path = path_in_file_system(dump, file_system)
        if find_status(client, path) is None:
            raise ValueError(f"HDFS has no file {path}")
        if not is_closed(client, path):
            raise ValueError(f"the file {path} in HDFS is open for writing: try again when it is complete")
        with client.read(path, chunk_size=BLOCK_BYTES) as chunks:
            length = client.status(path)["length"]
            upload(client, iter(chunks), length, DELIVERED, delivered_name(moment, path))
        return path
    if scheme not in ("", "file"):
        raise ValueError(
            f"cannot read {scheme}://: use a path in the landing folder, an hdfs:// URI or an http(s) URL"
        )
    return deliver_local_file(client, dump.removeprefix("file://"), landing, moment)


def deliver_local_file(client: "Client", name: str, landing: Path, moment: datetime) -> str:
    """Deliver one file of a local landing folder. Return its name.

    Raises:
        ValueError: the file does not exist or is outside the folder.
    """
    require_landing_folder(landing)
    local = landing / name
    if not local.resolve().is_relative_to(landing.resolve()):
        raise ValueError(f"{name} is outside the landing folder {landing}: move the file there")
    if local.is_file():
        claim_local_file(local, landing, moment)
    # An earlier attempt may have claimed it.
    source = source_in_name(delivered_name(moment, local.name))
    claimed = [path for path in list_claimed_files(landing) if source_in_name(path.name) == source]
    if not claimed:
        raise ValueError(
            f"the worker {socket.gethostname()} has no file {local}: "
            "put it into the landing folder, which all workers share"
        )
    for path in claimed:
        upload_local_file(client, path)
    return local.name
