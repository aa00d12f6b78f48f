"""Create `.venv` and install the packages of requirements.txt."""

import re
import shutil
import subprocess
import sys

from deploy.common.checkout import ENVIRONMENT, REPOSITORY
from deploy.common.errors import CommandError
from deploy.installation.downloads import run_downloader
from deploy.installation.locks import mark_current


def install_packages() -> None:
    """Create `.venv` and install exactly the packages of requirements.txt, verified by their hashes."""
    python, uv = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "bin" / "uv"
    if not uv.exists():  # also after an interrupted installation, which may lack pip
        command = [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)]
        create = subprocess.run(command, capture_output=True, text=True, check=False)
        if create.returncode:
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            raise CommandError(
                "this Python cannot create virtual environments: install its venv module "
                "(Debian: `apt install python3-venv`)"
            )
        # pip installs the version in the lock file
        uv_requirement = ENVIRONMENT / "uv-requirement.txt"
        uv_requirement.write_text(requirement("uv"))
        options = ["-qq", "--retries", "2", "--require-hashes", "--no-deps"]
        run_downloader([python, "-m", "pip", "install", *options, "-r", uv_requirement])
    lock = REPOSITORY / "requirements.txt"
    # Compile bytecode once. Where it cannot be written (PYTHONDONTWRITEBYTECODE, as in many containers), each
    # Python process would compile all its imports, which is half of the start time of a service.
    run_downloader([uv, "pip", "sync", "--compile-bytecode", "--require-hashes", "--python", python, lock])
    mark_current(ENVIRONMENT, "requirements.txt")


def requirement(package: str) -> str:
    """Return the entry of a package in requirements.txt, with its hashes."""
    lock = (REPOSITORY / "requirements.txt").read_text()
    found = re.search(rf"^{package}==.*(?:(?<=\\)\n.*)*", lock, flags=re.MULTILINE)
    if not found:
        raise CommandError(f"requirements.txt does not contain {package}: run `make lock`")
    return found.group() + "\n"
