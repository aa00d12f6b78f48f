"""Docker commands."""

import os
import subprocess
from typing import IO

from deploy.common.checkout import REPOSITORY
from deploy.common.errors import CommandError


def require_docker() -> None:
    """Raise CommandError unless a Docker engine runs and Compose v2 is installed."""
    for command, advice in (
        (["docker", "info"], "the Docker engine does not respond: start it"),
        (["docker", "compose", "version"], "Docker has no Compose v2: install its plugin"),
    ):
        try:
            subprocess.run(command, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            raise CommandError(advice) from None


def has_gpu() -> bool:
    """Return whether Docker has the NVIDIA runtime."""
    return '"nvidia"' in docker("info", "--format", "{{json .Runtimes}}")


def docker(*arguments: str) -> str:
    """Return the output of a docker command."""
    return subprocess.run(
        ["docker", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout


def compose(*arguments: str, stdin: IO[bytes] | None = None) -> None:
    """Run docker compose in the checkout and show its output. Raise CommandError if it fails."""
    command = ["docker", "compose", *arguments]
    if subprocess.run(command, cwd=REPOSITORY, stdin=stdin, env=os.environ, check=False).returncode:
        raise CommandError(
            f"`{' '.join(command)}` failed: see its last lines, or `make stack-logs SERVICE=name`"
        )
