"""How a dump comes into HDFS: whole or not at all, under the SHA-256 of its content."""

from __future__ import annotations

import hashlib
import logging
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from hdfs import Client

log = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 20
# A file that nobody has written to for this long counts as whole. Writers that rename when they are done need no grace; those that write
# in place move the modification time of a local file. In HDFS it stands still until they close the file: see is_closed.
SETTLE_SECONDS = 10.0
NAME_SEPARATOR = "~"  # between a claimed file's hash and the name it came with
UNFINISHED_PREFIXES = (".", "_")  # hidden, as Hadoop's tools and Spark see it
UNFINISHED_SUFFIXES = (".tmp", ".part", ".partial", "._COPYING_")


@contextmanager
def open_dump(source: str, client: Client) -> Iterator[IO[bytes]]:
    """Open a dump for reading.

    Args:
        source: a path on the worker's machine, an http(s) URL, or an hdfs:// URI in the file system of `client`.
        client: the WebHDFS client.

    Raises:
        ValueError: there is no such file, somebody is still writing it to HDFS, or the scheme is another one.
    """
    parts = urlsplit(source)
    if parts.scheme in ("http", "https"):
        with urllib.request.urlopen(source, timeout=60) as answer:  # noqa: S310 (the scheme is checked above)
            yield answer
    elif parts.scheme == "hdfs":
        if not client.status(parts.path, strict=False):
            raise ValueError(f"there is no dump {parts.path} in HDFS: give the path of a CSV file there")
        if not is_closed(parts.path, client):
            raise ValueError(f"somebody is still writing the dump {parts.path} to HDFS: try again when it is whole")
        with client.read(parts.path) as file:
            yield file
    elif parts.scheme in ("", "file"):
        path = Path(source.removeprefix("file://"))
        if not path.is_file():
            raise ValueError(f"there is no dump {path} on this machine: give the path of a CSV file, an hdfs:// URI or an http(s) URL")
        with path.open("rb") as local_file:
            yield local_file
    else:
        raise ValueError(f"cannot read a dump from {parts.scheme}://: give the path of a CSV file, an hdfs:// URI or an http(s) URL")


def store_dump(source: str, client: Client, raw_folder: str) -> str:
    """Put a dump into HDFS under the SHA-256 of its content.

    The bytes are hashed on their way, under a temporary name; the file gets its own name only when it is whole, so no reader ever
    sees half a dump, and the name is true whatever happens to the source meanwhile.

    Args:
        source: what `open_dump` takes.
        client: the WebHDFS client.
        raw_folder: the folder within HDFS that keeps dumps.

    Returns:
        The hash in hexadecimal.

    Raises:
        ValueError: the dump cannot be read, or is empty.
        OSError: HDFS holds another number of bytes than were sent.
    """
    if is_local(source) and (known := local_hash(source)) and client.status(f"{raw_folder}/{known}.csv", strict=False):
        return known  # a file in a landing folder is seen every day; HDFS has its content
    digest, sent_bytes = hashlib.sha256(), 0
    upload = f"{raw_folder}/.uploading-{uuid.uuid4()}"

    def blocks(dump: IO[bytes]) -> Iterator[bytes]:
        nonlocal sent_bytes
        while block := dump.read(BLOCK_BYTES):
            digest.update(block)
            sent_bytes += len(block)
            yield block

    try:
        with open_dump(source, client) as dump:
            client.write(upload, data=blocks(dump))
        if not sent_bytes:
            raise ValueError(f"the dump {source} is empty")
        stored_bytes = client.status(upload)["length"]
        if stored_bytes != sent_bytes:
            raise OSError(f"HDFS holds {stored_bytes:,} of the {sent_bytes:,} bytes of {source}")
        keep(upload, digest.hexdigest(), client, raw_folder)
        log.info("%s bytes of %s have the hash %s", f"{sent_bytes:,}", source, digest.hexdigest())
    finally:
        client.delete(upload)
    return digest.hexdigest()


def is_local(source: str) -> bool:
    """Tell whether a dump's address is a path on this machine."""
    return urlsplit(source).scheme in ("", "file")


def local_hash(source: str) -> str | None:
    """Return the SHA-256 of a file on this machine in hexadecimal, None when there is no such file."""
    path = Path(source.removeprefix("file://"))
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep(path: str, sha256: str, client: Client, raw_folder: str) -> bool:
    """Move a file within HDFS to the place of its content; return False when that content is there already.

    A rename is atomic and never replaces: of two that race for one content, one wins and the other sees what the first has put there.
    """
    from hdfs import HdfsError

    place = f"{raw_folder}/{sha256}.csv"
    client.makedirs(raw_folder)
    if client.status(place, strict=False):
        return False
    try:
        client.rename(path, place)
    except HdfsError:
        if client.status(place, strict=False):
            return False
        raise
    return True


def landed_dumps(client: Client, folder: str) -> list[str]:
    """Return the paths of the whole files in a landing folder within HDFS, the oldest first.

    Hidden and unfinished names are passed over, and files that somebody writes or wrote within the last SETTLE_SECONDS.
    """
    if not client.status(folder, strict=False):
        return []
    settled_ms = (time.time() - SETTLE_SECONDS) * 1000
    files = [(status["modificationTime"], name) for name, status in client.list(folder, status=True) if status["type"] == "FILE"]
    settled = [f"{folder}/{name}" for modified_ms, name in sorted(files) if modified_ms <= settled_ms and is_finished(name)]
    return [path for path in settled if is_closed(path, client)]


def is_closed(path: str, client: Client) -> bool:
    """Tell whether a file in HDFS is there and nobody is writing it.

    HDFS makes no checksum of an open file, and WebHDFS has no plainer word for it; of a closed one it reads the checksums, not the bytes.
    """
    from hdfs import HdfsError

    try:
        client.checksum(path)
    except HdfsError as error:
        if "under construction" in str(error) or not client.status(path, strict=False):
            return False
        raise
    return True


def landed_local_dumps(folder: Path) -> list[str]:
    """Return the paths of the whole files in a landing folder on this machine, the oldest first; likewise."""
    if not folder.is_dir():
        return []
    settled = time.time() - SETTLE_SECONDS
    files = sorted((path.stat().st_mtime, path) for path in folder.iterdir() if path.is_file())
    return [str(path) for modified, path in files if modified <= settled and is_finished(path.name)]


def is_finished(name: str) -> bool:
    """Tell whether a file's name is one that its writer gives to a whole file.

    >>> [is_finished(name) for name in ("june.csv", ".june.csv", "june.csv.tmp", "june.csv._COPYING_", "june.csv.gz")]
    [True, False, False, False, True]
    """
    return not name.startswith(UNFINISHED_PREFIXES) and not name.endswith(UNFINISHED_SUFFIXES)


def claim_dump(path: str, client: Client, claimed_folder: str, raw_folder: str) -> str | None:
    """Take a landed file out of the landing folder, so that of all who see it one goes on with it.

    Args:
        path: the file's path within HDFS.
        client: the WebHDFS client.
        claimed_folder: the folder within HDFS for claimed files, each under its hash and the name it came with.
        raw_folder: the folder within HDFS that keeps dumps by their hash.

    Returns:
        The hash in hexadecimal; None when the content is known already, or somebody else has claimed the file or replaced it meanwhile.
    """
    from hdfs import HdfsError

    digest = hashlib.sha256()
    try:
        before = client.status(path)
        with client.read(path, chunk_size=BLOCK_BYTES) as chunks:
            for chunk in chunks:
                digest.update(chunk)
        if client.status(path) != before:
            return None  # other bytes than those that were read: they are for the next look
        sha256 = digest.hexdigest()
        known = client.status(f"{raw_folder}/{sha256}.csv", strict=False) or sha256 in claimed_dumps(client, claimed_folder)
        if known:
            client.delete(path)  # HDFS keeps the same bytes already
            log.info("%s was delivered again: its content is %s", path, sha256)
            return None
        client.makedirs(claimed_folder)
        client.rename(path, f"{claimed_folder}/{sha256}{NAME_SEPARATOR}{PurePosixPath(path).name}")
    except HdfsError:
        if client.status(path, strict=False):
            raise
        return None  # claimed by another while we read it
    return sha256


def claimed_dumps(client: Client, claimed_folder: str) -> dict[str, str]:
    """Return the path of each claimed file by its hash."""
    if not client.status(claimed_folder, strict=False):
        return {}
    return {name.split(NAME_SEPARATOR)[0]: f"{claimed_folder}/{name}" for name in sorted(client.list(claimed_folder))}


def keep_claimed(client: Client, claimed_folder: str, raw_folder: str) -> dict[str, str]:
    """Move every claimed file to the place of its content; return the name it came with by its hash."""
    claimed = claimed_dumps(client, claimed_folder)
    for sha256, path in claimed.items():
        if not keep(path, sha256, client, raw_folder):
            client.delete(path)
    return {sha256: PurePosixPath(path).name.split(NAME_SEPARATOR, 1)[1] for sha256, path in claimed.items()}
