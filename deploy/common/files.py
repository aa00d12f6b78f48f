"""Files that hold credentials or state."""

import os
import tempfile
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read (mode 600). The write is atomic, also if power fails."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:  # created with mode 600
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # otherwise the rename may survive a power failure and the content not
    Path(file.name).replace(path)
