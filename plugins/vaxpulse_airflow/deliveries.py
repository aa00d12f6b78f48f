"""How dumps are delivered into HDFS: whole or not at all, each moved to a folder in which nobody else writes.

Files are renamed first and read afterwards: what was renamed, nobody replaces. A delivered file is named <time of delivery>-<source>, for example
20261124T230825.123Z-june.csv; `/`, `:` and `%` of the source stand there as %2F, %3A and %25. `loading` reads these names.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from vaxpulse_airflow.webhdfs import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from hdfs import Client

BLOCK_BYTES = 1 << 20
# A file that nobody has written to for this long counts as whole. Writers that rename when they are done need no grace; those that write
# in place move the modification time of a local file. In HDFS it stands still until they close the file: see is_closed.
SETTLE_SECONDS = 10.0
UNFINISHED_PREFIXES = (".", "_")  # hidden, as Hadoop's tools and Spark see it
UNFINISHED_SUFFIXES = (".tmp", ".part", ".partial", "._COPYING_")
UPLOAD_PREFIX = ".uploading-"
UPLOAD_KEPT = timedelta(days=1)  # an upload that is older has died
# HDFS takes names of up to 255 bytes; the time takes 21 of them.
LONGEST_SOURCE_BYTES = 220
MOST_REDIRECTS = 5


class Delivered(NamedTuple):
    """What a look into a landing folder came to: the names of the files that were delivered, and what is wrong with others."""

    sources: list[str]
    problems: list[str]


def find_status(client: Client, path: str) -> dict[str, Any] | None:
    """Return the status of a file or folder in HDFS, None when there is none. Any other answer is an error."""
    from hdfs import HdfsError

    try:
        status: dict[str, Any] = client.status(path)
    except HdfsError as error:
        if error.exception == "FileNotFoundException":
            return None
        raise
    return status


def is_closed(client: Client, path: str) -> bool:
    """Tell whether a file in HDFS exists and nobody has it open for writing.

    WebHDFS cannot say whether a file is open; a checksum request fails if it is. HDFS answers it from stored checksums, without reading the file.
    """
    from hdfs import HdfsError

    try:
        client.checksum(path)
    except HdfsError as error:
        if "under construction" in str(error) or find_status(client, path) is None:
            return False
        raise
    return True


def is_finished(name: str) -> bool:
    """Tell whether a file's name is one that its writer gives to a whole file.

    >>> [is_finished(name) for name in ("june.csv", ".june.csv", "june.csv.tmp", "june.csv._COPYING_", "june.csv.gz")]
    [True, False, False, False, True]
    """
    return not name.startswith(UNFINISHED_PREFIXES) and not name.endswith(UNFINISHED_SUFFIXES)


def delivered_name(moment: datetime, source: str) -> str:
    """Return the name of a delivered file. Of a long source the end stays.

    >>> delivered_name(datetime(2026, 11, 24, 23, 8, 25, 123456, tzinfo=UTC), "https://example.org/june.csv")
    '20261124T230825.123Z-https%3A%2F%2Fexample.org%2Fjune.csv'
    """
    source = source.encode(errors="replace").decode()  # a local name may hold bytes that no text has
    for character in "%/:":
        source = source.replace(character, f"%{ord(character):02X}")
    if len(source.encode()) > LONGEST_SOURCE_BYTES:
        source = "…" + source.encode()[-LONGEST_SOURCE_BYTES:].decode(errors="ignore")
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z-{source}"


def later_name(name: str) -> str:
    """Return the name of the same source a millisecond later.

    >>> later_name("20261124T235959.999Z-june.csv")
    '20261125T000000.000Z-june.csv'
    """
    moment, source = name.split("Z-", 1)
    later = datetime.strptime(f"{moment}+0000", "%Y%m%dT%H%M%S.%f%z") + timedelta(milliseconds=1)
    return f"{later:%Y%m%dT%H%M%S.%f}"[:-3] + f"Z-{source}"


def deliver_landed(client: Client, landing_folder: str, delivered_folder: str) -> Delivered:
    """Deliver every whole file of a landing folder in HDFS.

    A file is first renamed to a hidden name, which HDFS does for one of all who try, and gets its name once it is known to be closed. A hidden file
    that somebody left behind is looked at as well. What could not be delivered is tried again by the next call.
    """
    from hdfs import HdfsError

    client.makedirs(delivered_folder)
    now, problems = datetime.now(UTC), []
    for number, name in enumerate(landed_files(client, landing_folder)):
        path = f"{landing_folder}/{name}"
        try:
            if is_closed(client, path):
                moment = now + timedelta(milliseconds=number)
                client.rename(
                    path, f"{delivered_folder}/.{free_name(client, delivered_folder, moment, name)}"
                )
        except (HdfsError, requests.RequestException) as error:
            if is_left(client, path):  # otherwise another was faster
                problems.append(f"{name}: {error}")
    sources = []
    for name, status in sorted(client.list(delivered_folder, status=True)):
        path = f"{delivered_folder}/{name}"
        if name.startswith(UPLOAD_PREFIX):
            if time.time() - status["modificationTime"] / 1000 > UPLOAD_KEPT.total_seconds():
                client.delete(path)
        elif name.startswith("."):
            try:
                if is_closed(client, path):
                    client.rename(path, f"{delivered_folder}/{name[1:]}")
                    sources.append(name.split("-", 1)[1])
            except (HdfsError, requests.RequestException) as error:
                if is_left(client, path):
                    problems.append(f"{name}: {error}")
    return Delivered(sources, problems)


def is_left(client: Client, path: str) -> bool:
    """Tell whether a file is where it was, as far as can be said while HDFS fails."""
    try:
        return find_status(client, path) is not None
    except requests.RequestException:
        return True


def landed_files(client: Client, folder: str) -> list[str]:
    """Return the names of the files in a landing folder in HDFS that look whole, the oldest first; none where there is no folder.

    How old a file is says its time of modification, which a move keeps: it orders what has arrived together, and no more.
    """
    if find_status(client, folder) is None:
        return []
    files = [
        (status["modificationTime"] / 1000, name)
        for name, status in client.list(folder, status=True)
        if status["type"] == "FILE"
    ]
    return [name for seconds, name in sorted(files) if is_settled(seconds) and is_finished(name)]


def is_settled(modified: float) -> bool:
    """Tell whether a file was not written to within SETTLE_SECONDS; a time to come says nothing.

    Args:
        modified: seconds since 1970.
    """
    return not time.time() - SETTLE_SECONDS < modified <= time.time()


def free_name(client: Client, folder: str, moment: datetime, source: str) -> str:
    """Return the name of a delivered file that no file has; of several with the same name and time, each is a millisecond later."""
    while any(
        find_status(client, f"{folder}/{hidden}{delivered_name(moment, source)}") for hidden in (".", "")
    ):
        moment += timedelta(milliseconds=1)
    return delivered_name(moment, source)


def deliver_landed_locally(client: Client, landing: Path, delivered_folder: str) -> Delivered:
    """Deliver every whole file of a landing folder on this machine; likewise.

    A file is renamed into the subfolder `uploading`, and removed there once HDFS has all of it.
    """
    sources: list[str] = []
    try:
        require_landing_folder(landing)
    except ValueError as error:
        return Delivered(sources, [str(error)])
    problems = []
    for path in landed_local_files(landing):
        try:
            claim_local_file(path, landing, datetime.fromtimestamp(path.stat().st_ctime, UTC))
        except OSError as error:
            problems.append(f"{path.name!r}: {type(error).__name__}: {error}")
    for path in claimed_files(landing):
        try:
            upload_local_file(client, path, delivered_folder)
            sources.append(path.name.split("-", 1)[1])
        except Exception as error:  # the others do not wait for it
            problems.append(f"{path.name}: {type(error).__name__}: {error}")
    return Delivered(sources, problems)


def worker() -> str:
    """Return what to call this machine in a message: of several workers, the one that took the task."""
    return f"the worker {socket.gethostname()}"


def require_landing_folder(landing: Path) -> None:
    """Raise ValueError where this worker lacks the landing folder: any worker may get the task, so all must see the same files."""
    if not landing.is_dir():
        raise ValueError(
            f"{worker()} has no folder {landing}: VAXPULSE_LANDING must name a folder that all workers share"
        )


def landed_local_files(landing: Path) -> list[Path]:
    """Return the whole files in a landing folder on this machine in the order of their arrival; a link could lead to any file, and is none."""
    files = [(path.lstat(), path) for path in landing.iterdir() if is_finished(path.name)]
    whole = [
        (status.st_ctime, path)
        for status, path in files
        if stat.S_ISREG(status.st_mode) and is_settled(status.st_mtime)
    ]
    return [path for _, path in sorted(whole)]


def private_folder(landing: Path) -> Path:
    """Return the subfolder of claimed files, which nobody else may write to.

    Raises:
        PermissionError: somebody else has made it; then it could lead anywhere.
    """
    folder = landing / "uploading"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(
            f"{folder} must be a folder that only the user of Airflow's tasks may write to: remove it"
        )
    return folder


def claimed_files(landing: Path) -> list[Path]:
    """Return the files that were claimed and not yet uploaded, in the order of their arrival."""
    return sorted(private_folder(landing).iterdir()) if (landing / "uploading").exists() else []


def claim_local_file(path: Path, landing: Path, moment: datetime) -> Path | None:
    """Move a file into `uploading`, as delivered at a moment; return its new path, None when another was faster."""
    folder = private_folder(landing)
    while (folder / delivered_name(moment, path.name)).exists():
        moment += timedelta(milliseconds=1)
    try:
        claimed = path.rename(folder / delivered_name(moment, path.name))
    except FileNotFoundError:
        return None
    if path.parent != landing:
        with suppress(OSError):
            path.parent.rmdir()  # it was made for this file alone
    return claimed


def upload_local_file(client: Client, path: Path, delivered_folder: str) -> None:
    """Upload a file of `uploading` under its name, then remove it."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:  # noqa: PTH123 (by a descriptor, which no link can lead elsewhere)
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no file")
        upload(client, iter(lambda: file.read(BLOCK_BYTES), b""), status.st_size, delivered_folder, path.name)
    path.unlink()


def upload(
    client: Client, blocks: Iterator[bytes], expected_bytes: int | None, folder: str, name: str
) -> None:
    """Write a file into a folder in HDFS under a hidden name, and give it its name once it is whole.

    Args:
        client: the WebHDFS client.
        blocks: the content.
        expected_bytes: how many bytes it must have, None when nobody knows.
        folder: the folder.
        name: the file's name; when another file has it, the name of a millisecond later.

    Raises:
        OSError: the source gave, or HDFS holds, another number of bytes.
    """
    path, sent_bytes = f"{folder}/{UPLOAD_PREFIX}{uuid.uuid4()}", 0

    def counted() -> Iterator[bytes]:
        nonlocal sent_bytes
        for block in blocks:
            sent_bytes += len(block)
            yield block

    client.makedirs(folder)
    try:
        client.write(path, data=counted())
        stored_bytes = client.status(path)["length"]
        if expected_bytes is not None and sent_bytes != expected_bytes:
            raise OSError(f"only {sent_bytes:,} of {expected_bytes:,} bytes came")
        if stored_bytes != sent_bytes:
            raise OSError(f"HDFS holds {stored_bytes:,} of the {sent_bytes:,} bytes that were sent")
        while find_status(client, f"{folder}/{name}") is not None:
            if client.checksum(f"{folder}/{name}") == client.checksum(path):
                return  # by a call that died before it could say so
            name = later_name(name)
        client.rename(path, f"{folder}/{name}")
    finally:
        client.delete(path)


def deliver_dump(client: Client, dump: str, landing: Path, hdfs: str, delivered_folder: str) -> str:
    """Deliver one dump that somebody has asked for.

    Args:
        client: the WebHDFS client.
        dump: a path in the landing folder on this machine, an http(s) URL, or an hdfs:// URI.
        landing: the landing folder on this machine.
        hdfs: the file system of `client`, as hdfs://host:port.
        delivered_folder: the folder of delivered files in HDFS.

    Returns:
        The source of the dump as it may be shown: a URL without user, password and query.

    Raises:
        ValueError: there is no such dump, or it may not be read.
        OSError: not all of it came.
    """
    scheme = urlsplit(dump).scheme
    moment = datetime.now(UTC)
    if scheme in ("http", "https"):
        source = shown_url(dump)
        with open_url(dump) as (blocks, expected_bytes):
            upload(client, blocks, expected_bytes, delivered_folder, delivered_name(moment, source))
        return source
    if scheme == "hdfs":
        path = path_within(dump, hdfs)
        if find_status(client, path) is None:
            raise ValueError(f"there is no dump {path} in HDFS: give the path of a CSV file there")
        if not is_closed(client, path):
            raise ValueError(f"somebody is still writing the dump {path} to HDFS: try again when it is whole")
        with client.read(path, chunk_size=BLOCK_BYTES) as chunks:
            upload(
                client,
                iter(chunks),
                client.status(path)["length"],
                delivered_folder,
                delivered_name(moment, path),
            )
        return path
    if scheme not in ("", "file"):
        raise ValueError(
            f"cannot read a dump from {scheme}://: give a path in the landing folder, an hdfs:// URI or an http(s) URL"
        )
    require_landing_folder(landing)
    local = landing / dump.removeprefix("file://")
    if not local.resolve().is_relative_to(landing.resolve()):
        raise ValueError(f"{dump} is outside of the landing folder {landing}: put the file there")
    if local.is_file():
        claim_local_file(local, landing, moment)
    # An earlier try may have claimed it.
    suffix = delivered_name(moment, local.name).split("-", 1)[1]
    claimed = [file for file in claimed_files(landing) if file.name.split("-", 1)[1] == suffix]
    if not claimed:
        raise ValueError(
            f"{worker()} has no file {local}: put it into the landing folder {landing}, which all workers share"
        )
    for claimed_file in claimed:
        upload_local_file(client, claimed_file, delivered_folder)
    return local.name


def path_within(uri: str, hdfs: str) -> str:
    """Return the path of an hdfs:// URI.

    >>> path_within("hdfs://namenode:8020/june.csv", "hdfs://namenode:8020"), path_within("hdfs:///june.csv", "hdfs://namenode:8020")
    ('/june.csv', '/june.csv')

    Raises:
        ValueError: it lies in another file system.
    """
    parts = urlsplit(uri)
    if parts.netloc not in ("", urlsplit(hdfs).netloc):
        raise ValueError(
            f"{uri} is not in {hdfs}: copy it there first (hadoop distcp), or give an http(s) URL"
        )
    return str(PurePosixPath(parts.path))


def shown_url(url: str) -> str:
    """Return a URL without what may be secret.

    >>> shown_url("https://me:pw@example.org:8443/june.csv?signature=abc#part")
    'https://example.org:8443/june.csv'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def open_url(url: str) -> Iterator[tuple[Iterator[bytes], int | None]]:
    """Yield the blocks of what a URL leads to, and how many bytes the server has announced.

    Raises:
        ValueError: it leads to an address that is not public, or the server has no such file.
        OSError: the server cannot be reached.
    """
    shown = shown_url(url)

    def read(answer: requests.Response) -> Iterator[bytes]:
        try:
            # The bytes as they were sent, of which there are as many as announced.
            yield from answer.raw.stream(BLOCK_BYTES, decode_content=False)
        except (requests.RequestException, HTTPError) as error:
            raise OSError(f"{shown} broke off: {type(error).__name__}") from None

    with requests.Session() as session:
        session.auth = _send_as_it_is
        try:
            for _ in range(MOST_REDIRECTS):
                answer = ask(session, url)
                if not answer.is_redirect:
                    break
                url = urljoin(url, answer.headers["Location"])
        except requests.RequestException as error:
            # Its own words hold the whole URL.
            raise OSError(f"{shown} cannot be read: {type(error).__name__}") from None
        if answer.status_code != requests.codes.ok:
            raise ValueError(
                f"{shown} cannot be read: the server answers {answer.status_code} {answer.reason}"
            )
        length = answer.headers.get("Content-Length")
        yield read(answer), int(length) if length else None


class FixedAddressAdapter(HTTPAdapter):
    """Connects to an address, whatever the host's name leads to by now; TLS still asks for a certificate of that name."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def build_connection_pool_key_attributes(
        self, *arguments: Any, **named: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        server, tls = super().build_connection_pool_key_attributes(*arguments, **named)
        if server["scheme"] == "https":
            tls |= {"server_hostname": server["host"], "assert_hostname": server["host"]}
        return server | {"host": self._address}, tls


def ask(session: requests.Session, url: str) -> requests.Response:
    """Return the answer of the first of a URL's allowed addresses that takes connections."""
    parts = urlsplit(url)
    addresses = allowed_addresses(url)
    for address in addresses:
        session.mount(f"{parts.scheme}://", FixedAddressAdapter(address) if address else HTTPAdapter())
        headers = {"Accept-Encoding": "identity", "Host": parts.netloc.rpartition("@")[2]}
        try:
            return session.get(
                url, stream=True, timeout=TIMEOUT_SECONDS, allow_redirects=False, headers=headers
            )
        except requests.ConnectionError:
            if address == addresses[-1]:
                raise
    raise AssertionError("a host that is known has an address")


def _send_as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from adding a password of ~/.netrc."""
    return request


def allowed_addresses(url: str) -> list[str | None]:
    """Return the addresses that a URL may be read from: those of its host, [None] for whatever a host in VAXPULSE_DUMP_HOSTS leads to.

    Raises:
        ValueError: one of them is not public: whoever may trigger must not reach what only workers can.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{shown_url(url)} is no http(s) URL")
    if parts.hostname in os.environ.get("VAXPULSE_DUMP_HOSTS", "").split(","):
        return [None]
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise ValueError(
            f"{shown_url(url)} cannot be read: {parts.hostname} is not known ({error.strerror})"
        ) from None
    addresses = [ipaddress.ip_address(address[0]) for *_, address in found]
    if not all(address.is_global and not address.is_multicast for address in addresses):
        raise ValueError(
            f"{shown_url(url)} leads to an address that is not public: whoever runs the platform can allow it by naming "
            f"{parts.hostname} in VAXPULSE_DUMP_HOSTS"
        )
    return [str(address) for address in addresses]
