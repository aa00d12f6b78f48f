"""A WebHDFS client with files in memory. It can lose bytes and raise errors."""

import hashlib
import time
import unicodedata
from contextlib import contextmanager

from hdfs import HdfsError


def missing(path):
    return HdfsError(f"File does not exist: {path}", exception="FileNotFoundException")


class Chunks:
    """Content that is read completely or in chunks, like the reader of the client."""

    def __init__(self, content, chunk_size):
        self.content, self.chunk_size = content, chunk_size or len(content) or 1

    def read(self, size=-1):
        size = len(self.content) if size < 0 else size
        block, self.content = self.content[:size], self.content[size:]
        return block

    def __iter__(self):
        while block := self.read(self.chunk_size):
            yield block


class MemoryHdfs:
    """Files by path. A rename does not replace a file, as in HDFS."""

    def __init__(self, lost_bytes=0):
        self.files = {}
        self.modified = {}
        self.uploads = []
        self.open_files = set()
        self.lost_bytes = lost_bytes
        self.faults = {}  # errors by path

    def put(self, path, content, seconds_ago=60):
        self.files[path] = content
        self.modified[path] = int((time.time() - seconds_ago) * 1000)

    def check(self, path):
        if path in self.faults:
            raise self.faults[path]

    def write(self, path, data):
        self.uploads.append(path)
        self.put(path, b"")
        for block in data:
            self.files[path] += block  # a write that is interrupted leaves a partial file
        self.files[path] = self.files[path][: len(self.files[path]) - self.lost_bytes]

    @contextmanager
    def read(self, path, chunk_size=0):
        self.check(path)
        if path not in self.files:
            raise missing(path)
        yield Chunks(self.files[path], chunk_size)

    def status(self, path, strict=True):
        self.check(path)
        if path in self.files:
            return {"length": len(self.files[path]), "type": "FILE", "modificationTime": self.modified[path]}
        if any(name.startswith(f"{path}/") for name in self.files):
            return {"length": 0, "type": "DIRECTORY", "modificationTime": 0}
        if strict:
            raise missing(path)
        return None

    def list(self, folder, status=False):
        names = [path.removeprefix(f"{folder}/") for path in self.files if path.startswith(f"{folder}/")]
        names = [name for name in names if "/" not in name]
        return [(name, self.status(f"{folder}/{name}")) for name in names] if status else names

    def checksum(self, path):
        path = unicodedata.normalize("NFC", path)  # as the web server of a DataNode
        self.status(path)
        if path in self.open_files:
            raise HdfsError(f"Fail to get checksum, since file {path} is under construction.")
        return {"algorithm": "MD5-of-0MD5-of-512CRC32C", "bytes": hashlib.md5(self.files[path]).hexdigest()}

    def makedirs(self, path):
        pass

    def rename(self, source, destination):
        self.check(source)
        if destination in self.files or source not in self.files:
            raise HdfsError(f"Unable to rename {source} to {destination}")
        self.files[destination] = self.files.pop(source)
        self.modified[destination] = self.modified.pop(source)  # a rename preserves the mtime
        if source in self.open_files:
            self.open_files.remove(source)
            self.open_files.add(destination)

    def delete(self, path):
        return self.files.pop(path, None) is not None
