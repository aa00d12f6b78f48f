"""The files of dumps in HDFS, or in a local folder: those that were delivered, and each content once under its hash.

A delivered file is named <time of delivery>-<source>, for example 20261124T230825.123Z-june.csv; `/`, `:` and `%` of the source stand there as %2F,
%3A and %25. Hidden names are files on their way.
"""

import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO
from urllib.parse import unquote, urlsplit

from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSelector, FileSystem, FileType, PyFileSystem

DELIVERED_NAME = re.compile(r"(\d{8}T\d{6}\.\d{3})Z-(.+)\Z", re.DOTALL)
HIDDEN = (".", "_")
CONNECT_SECONDS = 10
# Each read of a file in HDFS is a request, of some milliseconds whatever its size.
BUFFER_BYTES = 16 * 2**20


@dataclass(frozen=True, order=True)
class Delivery:
    """A dump as it was delivered; ordered by the time of delivery."""

    delivered_at: datetime
    source: str
    path: str


def require_answer(uri: str) -> None:
    """Raise OSError unless the file system of `uri` takes connections: the client of HDFS would try for two minutes."""
    address = urlsplit(uri)
    if address.scheme == "hdfs":
        with socket.create_connection((str(address.hostname), address.port or 8020), timeout=CONNECT_SECONDS):
            pass


class DumpFiles:
    """The files of dumps.

    Args:
        delivered_uri: the folder of delivered files.
        raw_uri: the folder, in the same file system, that keeps each content once.
    """

    def __init__(self, delivered_uri: str, raw_uri: str) -> None:
        require_answer(delivered_uri)
        address = urlsplit(delivered_uri)
        root = f"{address.scheme}://{address.netloc}/" if address.scheme else "file:///"
        self._files: FileSystem = PyFileSystem(DeltaStorageHandler(root))
        self._delivered, self._raw = (
            urlsplit(uri).path.strip("/") if address.scheme else uri.strip("/")
            for uri in (delivered_uri, raw_uri)
        )

    def deliveries(self) -> list[Delivery]:
        """What was delivered and is not settled yet, in the order of delivery."""
        found = []
        for info in self._files.get_file_info(FileSelector(self._delivered, allow_not_found=True)):
            if info.type == FileType.File and not info.base_name.startswith(HIDDEN):
                named = DELIVERED_NAME.match(info.base_name)
                moment = (
                    datetime.strptime(named[1], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
                    if named
                    else info.mtime
                )
                # Whole milliseconds, as Delta's statistics have them.
                moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
                found.append(Delivery(moment, unquote(named[2]) if named else info.base_name, info.path))
        return sorted(found)

    def kept(self, sha256: str) -> str:
        """The path at which a content is kept."""
        return f"{self._raw}/{sha256}.csv"

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        [info] = self._files.get_file_info([path])
        return bool(info.type == FileType.File)

    def size_bytes(self, path: str) -> int:
        """The size of a file."""
        [info] = self._files.get_file_info([path])
        return int(info.size or 0)

    def open(self, path: str) -> IO[bytes]:
        """A file, open for reading from its beginning."""
        file: IO[bytes] = self._files.open_input_stream(path, buffer_size=BUFFER_BYTES)
        return file

    def keep(self, path: str, sha256: str) -> None:
        """Move a delivered file to where its content is kept; it replaces the same content."""
        self._files.create_dir(self._raw, recursive=True)
        self._files.move(path, self.kept(sha256))
