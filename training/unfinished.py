"""Where an unfinished training is kept, so that a second try goes on with it: one folder for each config and data set."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import TrainingError

KEPT_SECONDS = 7 * 24 * 3600


def state_folder() -> Path:
    """VAXPULSE_STATE, or a folder of this user below the system's temporary one."""
    return Path(
        os.environ.get("VAXPULSE_STATE") or Path(tempfile.gettempdir()) / f"vaxpulse-training-{os.getuid()}"
    )


@contextmanager
def unfinished(folder: Path, name: str, is_first: bool) -> Iterator[Path]:
    """The folder of a training for one training at a time: it stays when the process ends early, and goes when the block ends well.

    Of several processes of one training the first has the say, the others share its folder.

    Raises:
        TrainingError: another training has it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = folder / name
    if not is_first:
        yield own
        return
    _remove_forgotten(folder)
    with (folder / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(
                lock, fcntl.LOCK_EX | fcntl.LOCK_NB
            )  # the system takes it back whatever ends the process
        except BlockingIOError:
            raise TrainingError(
                f"another process is training the same config on the same rows (it has {lock.name})"
            ) from None
        own.mkdir(exist_ok=True)
        yield own
        shutil.rmtree(own)
    (folder / f"{name}.lock").unlink(missing_ok=True)


def _remove_forgotten(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and time.time() - path.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
