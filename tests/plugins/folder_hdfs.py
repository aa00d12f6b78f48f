"""A WebHDFS client whose files are in a local folder."""

import shutil
from pathlib import Path

from hdfs import HdfsError


class FolderHdfs:
    """Files and folders below `root`, with their mtimes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _local(self, path):
        return self.root / path.lstrip("/")

    def status(self, path):
        local = self._local(path)
        if not local.exists():
            raise HdfsError(f"File does not exist: {path}", exception="FileNotFoundException")
        kind = "DIRECTORY" if local.is_dir() else "FILE"
        return {"type": kind, "modificationTime": int(local.stat().st_mtime * 1000)}

    def list(self, folder, status=False):
        names = sorted(path.name for path in self._local(folder).iterdir())
        return [(name, self.status(f"{folder}/{name}")) for name in names] if status else names

    def delete(self, path, recursive=False):
        local = self._local(path)
        if local.is_dir() and recursive:
            shutil.rmtree(local)
        else:
            local.unlink()
        return True
