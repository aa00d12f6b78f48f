"""Checkpoints of unfinished trainings, from which a retry resumes: one folder per config and data set."""

import fcntl
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from contracts.exit_status import InputError
from training.command import TransientError

MAX_AGE_SECONDS = 7 * 24 * 3600


def state_folder() -> Path:
    """Return VAXPULSE_STATE, by default a folder in the current user's home."""
    default = Path.home() / ".local" / "state" / "vaxpulse" / "training"
    return Path(os.environ.get("VAXPULSE_STATE") or default)


def create_private_folder(folder: Path) -> None:
    """Create a folder for the current user only, or check that an existing one is private.

    Nobody else may be able to put weights there, with which the training would continue.

    Raises:
        InputError: the path is no folder, or other users own it or have access to it.
    """
    with suppress(FileExistsError):
        folder.mkdir(parents=True, mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):  # for example a link to a folder of another user
        problem = "is not a folder"
    elif found.st_uid != os.getuid():
        problem = f"belongs to the user with the number {found.st_uid}"
    elif found.st_mode & 0o077:
        problem = f"is accessible for other users (mode {found.st_mode & 0o777:o})"
    else:
        return
    raise InputError(
        f"the folder for checkpoints {folder} {problem}: check its content and remove it, or set "
        "VAXPULSE_STATE to a folder with mode 700 of your own"
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
        InputError: the folder is not private.
        TransientError: another process is using the folder.
    """
    create_private_folder(folder)
    own = folder / name
    if not is_first:
        yield own
        return
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another training may end now
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
    # The file of the lock stays: another process may have opened it, and must not lock a deleted file.
