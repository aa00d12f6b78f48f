"""Checkpoints of unfinished trainings, from which a retry resumes: one folder per config and data set."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.command import TransientError

MAX_AGE_SECONDS = 7 * 24 * 3600


def state_folder() -> Path:
    """Return VAXPULSE_STATE, by default a folder of the current user in the system's temporary folder."""
    return Path(
        os.environ.get("VAXPULSE_STATE") or Path(tempfile.gettempdir()) / f"vaxpulse-training-{os.getuid()}"
    )


@contextmanager
def training_state(folder: Path, name: str, is_first: bool = True) -> Iterator[Path]:
    """Yield the folder of a training. Remove it if the block succeeds, keep it otherwise.

    Args:
        folder: parent of all trainings' folders. Folders that are older than MAX_AGE_SECONDS are removed.
        name: of the training.
        is_first: whether this is the first process of the training. Only this process locks and removes the
            folder.

    Raises:
        TransientError: another process is using the folder.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = folder / name
    if not is_first:
        yield own
        return
    for path in folder.iterdir():
        if path.is_dir() and time.time() - path.stat().st_mtime > MAX_AGE_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
    with (folder / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel releases it when the process ends
        except BlockingIOError:
            raise TransientError(
                f"another process is training the same config on the same rows (it holds {lock.name})"
            ) from None
        own.mkdir(exist_ok=True)
        yield own
        shutil.rmtree(own)
    (folder / f"{name}.lock").unlink(missing_ok=True)
