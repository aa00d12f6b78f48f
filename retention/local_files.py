"""Old files on the disk of a worker: logs, and temporary files of Spark drivers that were killed."""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# Folders that Spark and SparkJobOperator create for a job. A job that is killed leaves them.
OF_SPARK = ("spark-*", "blockmgr-*", "artifacts-*")
OF_OPERATOR = ("vaxpulse-job-*",)


def delete_old_logs(folder: Path, before: float) -> int:
    """Delete the files below a folder that were last modified before a time, and empty folders.

    Args:
        folder: the folder, which stays.
        before: seconds since 1970.

    Returns:
        The number of deleted bytes.
    """
    freed = 0
    # Deletions change the mtimes of folders. A new folder, also an empty one, belongs to a running task.
    modified = {path: Path(path).stat().st_mtime for path, _, _ in os.walk(folder)}
    for path, _, names in os.walk(folder, topdown=False):
        for name in names:
            file = Path(path, name)
            with suppress(FileNotFoundError):  # a program rotates its logs
                status = file.lstat()
                if status.st_mtime < before:
                    file.unlink()
                    freed += status.st_size
        is_old = modified.get(path, before) < before
        if is_old and path != str(folder) and not any(Path(path).iterdir()):
            Path(path).rmdir()
    return freed


def delete_leftovers(folder: Path, patterns: Sequence[str], before: float) -> int:
    """Delete the temporary folders of this user in which nothing was written since a time.

    Args:
        folder: the folder that contains them.
        patterns: their names.
        before: seconds since 1970.

    Returns:
        The number of deleted bytes.
    """
    freed = 0
    for pattern in patterns:
        for leftover in folder.glob(pattern):
            with suppress(FileNotFoundError):  # a running job deletes its files, so the folder is in use
                statuses = [path.lstat() for path in (leftover, *leftover.rglob("*"))]
                is_ours = statuses[0].st_uid == os.geteuid()
                if is_ours and leftover.is_dir() and max(status.st_mtime for status in statuses) < before:
                    freed += sum(status.st_size for status in statuses)
                    shutil.rmtree(leftover)
    return freed
