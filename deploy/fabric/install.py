"""Install FABlib into `.fabric`: `python -m deploy.fabric.install`, by the make targets that need it.

The embedded platform installs everything in requirements.txt, so FABlib's 90 packages have a lock and an
environment of their own. This module imports the standard library only.
"""

import shutil
import subprocess
import sys

from deploy.common.checkout import REPOSITORY
from deploy.common.errors import CommandError, run_command
from deploy.common.steps import step
from deploy.installation.downloads import explain_download_failure
from deploy.installation.install import INTERRUPTION, check_python
from deploy.installation.locks import is_current, mark_current

ENVIRONMENT = REPOSITORY / ".fabric"
LOCK = "deploy/fabric/requirements.txt"


def main() -> int:
    """Install the packages if they are missing, and return the exit status."""
    return run_command(install_if_missing, "install", INTERRUPTION)


def install_if_missing() -> None:
    """Install the packages unless `.fabric` has those of the lock."""
    if not is_current(ENVIRONMENT, LOCK):
        check_python(sys.version_info[:2])
        with step(f"FABlib from {LOCK} (0.5 GB on disk, once)"):
            install()


def install() -> None:
    """Create `.fabric` anew with exactly the packages of the lock, verified by their hashes."""
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(ENVIRONMENT)])
    options = ["-qq", "--disable-pip-version-check", "--retries", "2", "--require-hashes", "--no-deps"]
    run([str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", *options, "-r", str(REPOSITORY / LOCK)])
    mark_current(ENVIRONMENT, LOCK)


def run(command: list[str]) -> None:
    """Run a command. Raise CommandError with the cause of its failure."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(explain_download_failure(done.stdout + done.stderr))


if __name__ == "__main__":
    sys.exit(main())
