"""Files of dumps in HDFS or a local folder: delivered files, and each content once under its hash.

`contracts.delivered_names` defines the names of delivered files. Hidden files are uploads in progress.
"""

import socket
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO
from urllib.parse import urlsplit

from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSelector, FileSystem, FileType, PyFileSystem

from contracts.delivered_names import parse_name, show_source

HIDDEN_PREFIXES = (".", "_")
CONNECT_SECONDS = 10
# Each read of a file in HDFS is a request of some milliseconds, independent of its size.
BUFFER_BYTES = 16 * 2**20


@dataclass(frozen=True, order=True)
class Delivery:
    """A delivered dump. Deliveries are ordered by their time.

    Attributes:
        delivered_at: time of delivery, in whole milliseconds.
        source: original name, with invisible characters as escapes.
        path: path in the file system.
        note: a note for its row in `dumps`.
    """

    delivered_at: datetime
    source: str
    path: str
    note: str | None = field(default=None, compare=False)


def check_connection(uri: str) -> None:
    """Raise OSError if `uri` is in HDFS and cannot be reached. HDFS's client would retry for two minutes."""
    address = urlsplit(uri)
    if address.scheme == "hdfs":
        with socket.create_connection((str(address.hostname), address.port or 8020), timeout=CONNECT_SECONDS):
            pass


class DumpFiles:
    """Files of dumps.

    Args:
        delivered_uri: folder of delivered files.
        raw_uri: folder in the same file system that stores each content once.
    """

    def __init__(self, delivered_uri: str, raw_uri: str) -> None:
        self._uri = delivered_uri
        check_connection(delivered_uri)
        address = urlsplit(delivered_uri)
        root = f"{address.scheme}://{address.netloc}/" if address.scheme else "file:///"
        self._files: FileSystem = PyFileSystem(DeltaStorageHandler(root))
        self._delivered, self._raw = (
            urlsplit(uri).path.strip("/") if address.scheme else uri.strip("/")
            for uri in (delivered_uri, raw_uri)
        )

    def deliveries(self) -> list[Delivery]:
        """Return the deliveries that are not processed yet, in the order of delivery.

        A file with another name than those of `contracts.delivered_names` has its mtime as delivery time.
        """
        found = []
        for info in self._files.get_file_info(FileSelector(self._delivered, allow_not_found=True)):
            if info.type == FileType.File and not info.base_name.startswith(HIDDEN_PREFIXES):
                moment, source = parse_name(info.base_name) or (info.mtime, info.base_name)
                # Delta's statistics have whole milliseconds.
                moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
                found.append(Delivery(moment, show_source(source), info.path))
        return sorted(found)

    def raw_path(self, sha256: str) -> str:
        """Return the path of a content in the folder `raw`."""
        return f"{self._raw}/{sha256}.csv"

    def still_exists(self, path: str) -> bool:
        """Return whether the file exists. Another loader may have moved it."""
        [info] = self._files.get_file_info([path])
        return bool(info.type == FileType.File)

    def size_bytes(self, path: str) -> int:
        """Return the size of a file."""
        [info] = self._files.get_file_info([path])
        return int(info.size or 0)

    def open(self, path: str) -> IO[bytes]:
        """Open a file for sequential reading of its bytes as delivered."""
        # By default pyarrow decompresses files whose names end with .gz or .bz2. Then the hash would not be
        # that of the file in `raw`, and the limit on decompression would not apply.
        file: IO[bytes] = self._files.open_input_stream(path, compression=None, buffer_size=BUFFER_BYTES)
        return file

    def stored(self) -> list[str]:
        """Return the SHA-256 of each content in the folder `raw`."""
        found = self._files.get_file_info(FileSelector(self._raw, allow_not_found=True))
        names = [info.base_name for info in found if info.type == FileType.File]
        return sorted(name.removesuffix(".csv") for name in names if not name.startswith(HIDDEN_PREFIXES))

    def delete(self, path: str) -> None:
        """Delete a file."""
        self._files.delete_file(path)

    def replace(self, path: str, source: IO[bytes]) -> None:
        """Replace the content of a file. A reader sees either the previous content or all of the new one."""
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/.{name}.part"
        # deltalake's streams accept only bytes. A buffered stream passes bytes on.
        with self._files.open_output_stream(temporary, buffer_size=BUFFER_BYTES) as target:
            while block := source.read(BUFFER_BYTES):
                target.write(block)
        self._files.move(temporary, path)

    def move_to_raw(self, path: str, sha256: str) -> None:
        """Move a file to `raw_path`. It replaces a file with the same content."""
        if path != self.raw_path(sha256):
            self._files.create_dir(self._raw, recursive=True)
            self._files.move(path, self.raw_path(sha256))

    def is_available(self) -> bool:
        """Return whether a file can be written, read and deleted now.

        HDFS cannot do this if it is in safe mode or full, or if no DataNode is available.
        """
        path = f"{self._raw}/.probe-{uuid.uuid4()}"
        try:
            check_connection(self._uri)
            self._files.create_dir(self._raw, recursive=True)
            # DeltaStorageHandler accepts buffered writes only.
            with self._files.open_output_stream(path, buffer_size=BUFFER_BYTES) as written:
                written.write(path.encode())
            with self._files.open_input_stream(path) as stored:
                is_same: bool = stored.read() == path.encode()
            self._files.delete_file(path)
        except OSError:
            return False
        return is_same
