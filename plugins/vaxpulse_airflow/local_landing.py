"""Delivery of dumps from a local landing folder into HDFS.

    NAME ──rename──> uploading/<time>/NAME ──copy──> uploaded/<time>-<size>-<mtime>/NAME ──a day──> removed

A writer that has opened the file can continue after the rename and after the copy, and no system call shows
writers in other containers or on other machines. Therefore an uploaded file stays for a day. If it changes in
that time, it is delivered again.
"""

import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contracts.delivered_names import build_name, show_source
from contracts.hdfs_paths import DELIVERED
from vaxpulse_airflow.names import is_finished
from vaxpulse_airflow.webhdfs import BLOCK_BYTES, upload

if TYPE_CHECKING:
    from hdfs import Client

# A file that was not modified for this long is complete. The delay protects local files that are written in
# place. HDFS updates the mtime only when a file is closed: see is_closed.
MIN_AGE_SECONDS = 10.0
KEEP_UPLOADED = timedelta(days=1)
CLAIM_TIME = "%Y%m%dT%H%M%S.%f"
UPLOADED_NAME = re.compile(r".+-(\d+)-(\d+)")


class Delivered(NamedTuple):
    """Sources of the delivered files, and a message for each file that could not be delivered."""

    sources: list[str]
    problems: list[str]


def describe_problem(name: str, error: Exception) -> str:
    """Return a message on one line about a file. Control characters of its name are shown as escapes."""
    reason = str(error).partition("\n")[0]  # HDFS appends Java's stack trace
    return show_source(f"{name}: {type(error).__name__}: {reason}")


def is_old_enough(mtime: float) -> bool:
    """Return whether a file was not modified within MIN_AGE_SECONDS. Future mtimes are ignored.

    Args:
        mtime: in seconds since 1970.
    """
    return not time.time() - MIN_AGE_SECONDS < mtime <= time.time()


def require_landing_folder(landing: Path) -> None:
    """Raise ValueError if this worker has no landing folder. Any worker may run the task."""
    if not landing.is_dir():
        raise ValueError(
            f"the worker {socket.gethostname()} has no folder {landing}: "
            "VAXPULSE_LANDING must name a folder that all workers share"
        )


def deliver_landed_locally(client: "Client", landing: Path) -> Delivered:
    """Deliver every complete file of a local landing folder, and uploaded files that have changed."""
    delivered = Delivered([], [])

    @contextmanager
    def isolated(name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # continue with the other files
            delivered.problems.append(describe_problem(name, error))

    try:
        require_landing_folder(landing)
    except ValueError as error:
        return Delivered([], [str(error)])
    with isolated(str(landing)):
        for uploaded in list_folder(landing / "uploaded"):
            with isolated(uploaded.name):
                check_uploaded(uploaded, landing)
        for path in list_landed_local_files(landing):
            with isolated(path.name):
                claim_local_file(path, landing, datetime.fromtimestamp(path.lstat().st_ctime, UTC))
        for claim in list_folder(landing / "uploading"):
            with isolated(" ".join(path.name for path in claim.glob("*")) or claim.name):
                if source := upload_claim(client, claim, landing):
                    delivered.sources.append(source)
    return delivered


def list_landed_local_files(landing: Path) -> list[Path]:
    """Return the complete files of a local landing folder, ordered by ctime. Symlinks are skipped."""
    complete = []
    for path in landing.iterdir():
        with suppress(FileNotFoundError):  # the user or another process has moved it
            status = path.lstat()
            if is_finished(path.name) and stat.S_ISREG(status.st_mode) and is_old_enough(status.st_mtime):
                complete.append((status.st_ctime, path))
    return [path for _, path in sorted(complete)]


def prepare_folder(folder: Path) -> Path:
    """Create and return a folder that no other user may write to.

    Raises:
        PermissionError: another user has created it. A symlink in it could point to any file.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(
            f"{folder} must be a folder that only the user of Airflow's tasks may write to: remove it"
        )
    return folder


def list_folder(folder: Path) -> list[Path]:
    """Return the entries of a folder of `prepare_folder`, if it exists, ordered by name."""
    return sorted(prepare_folder(folder).iterdir()) if os.path.lexists(folder) else []


def claim_local_file(path: Path, landing: Path, moment: datetime) -> None:
    """Rename a file into a folder of its own in `uploading`. Do nothing if another process has claimed it."""
    folder = prepare_folder(landing / "uploading")
    while True:
        claim = folder / f"{moment:{CLAIM_TIME}}"
        try:
            claim.mkdir()
            break
        except FileExistsError:
            moment += timedelta(milliseconds=1)
    try:
        path.rename(claim / path.name)
    except OSError as error:
        claim.rmdir()
        if not isinstance(error, FileNotFoundError):
            raise
        return
    if path.parent != landing:
        with suppress(OSError):
            path.parent.rmdir()  # a folder that was created for this file alone


def upload_claim(client: "Client", claim: Path, landing: Path) -> str | None:
    """Upload a claimed file, then move it to `uploaded`. Return its source, or None if the folder was empty.

    Raises:
        OSError: the file could not be read or stored completely. It stays claimed.
        ValueError: it is not a regular file in a folder of `claim_local_file`.
    """
    if not stat.S_ISDIR(claim.lstat().st_mode):
        raise ValueError(f"it was not created by a delivery: move {claim} away")
    files = list(claim.iterdir())
    if not files:  # a process died before or after it had moved the file
        claim.rmdir()
        return None
    [path] = files
    name = build_name(datetime.strptime(claim.name, CLAIM_TIME).replace(tzinfo=UTC), path.name)
    # O_NOFOLLOW: follow no symlink. O_NONBLOCK: do not wait for the writer of a named pipe.
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise ValueError(f"it is not a regular file: remove {path}")
        upload(client, iter(lambda: file.read(BLOCK_BYTES), b""), before.st_size, DELIVERED, name)
    if before.st_nlink > 1:  # a writer's data stays under the other name
        shutil.rmtree(claim)
    else:
        uploaded = prepare_folder(landing / "uploaded")
        claim.rename(uploaded / f"{claim.name}-{before.st_size}-{before.st_mtime_ns}")
    return show_source(path.name)


def check_uploaded(uploaded: Path, landing: Path) -> None:
    """Claim an uploaded file again if a writer has changed it. If it is unchanged for a day, remove it.

    Raises:
        ValueError: it is not a folder of `upload_claim`.
    """
    recorded = UPLOADED_NAME.fullmatch(uploaded.name)
    files = list(uploaded.iterdir())
    if not recorded or len(files) != 1:
        raise ValueError(f"it was not created by a delivery: move {uploaded} away")
    status = files[0].lstat()
    if (status.st_size, status.st_mtime_ns) != (int(recorded[1]), int(recorded[2])):
        if is_old_enough(status.st_mtime):
            claim_local_file(files[0], landing, datetime.now(UTC))
    elif time.time() - uploaded.lstat().st_mtime > KEEP_UPLOADED.total_seconds():
        shutil.rmtree(uploaded)


def deliver_local_file(client: "Client", name: str, landing: Path, moment: datetime) -> str:
    """Deliver one file of a local landing folder. Return its source.

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
    claims = [claim for claim in list_folder(landing / "uploading") if os.path.lexists(claim / local.name)]
    if not claims:
        raise ValueError(
            f"the worker {socket.gethostname()} has no file {local}: "
            "put it into the landing folder, which all workers share"
        )
    for claim in claims:
        upload_claim(client, claim, landing)
    return show_source(local.name)
