"""Record which lock file a folder was installed from."""

import hashlib
from pathlib import Path

from deploy.common.checkout import REPOSITORY


def is_current(folder: Path, lock: str) -> bool:
    """Return whether a folder was completely installed from the current content of a lock file."""
    stamp = folder / ".lock-sha256"
    return stamp.exists() and stamp.read_text() == sha256(REPOSITORY / lock)


def mark_current(folder: Path, lock: str) -> None:
    """Record that a folder was completely installed from a lock file."""
    (folder / ".lock-sha256").write_text(sha256(REPOSITORY / lock))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
