"""Docker as the stack's tools call it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import IO, Any

REPOSITORY = Path(__file__).resolve().parents[2]
CLIENT = (
    "run",
    "--rm",
    "--no-TTY",
    "client",
    "python",
    "-m",
    "deploy.stack.client",
)  # in the stack's network


class StackError(Exception):
    """One line that says what is wrong and what to do about it."""


def require_docker() -> None:
    """Raise StackError unless there is an engine, and Compose v2."""
    for command, advice in (
        (["docker", "info"], "no Docker engine answers: start it"),
        (["docker", "compose", "version"], "Docker has no Compose v2: install its plugin"),
    ):
        try:
            subprocess.run(command, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            raise StackError(advice) from None


def has_gpu() -> bool:
    """Tell whether Docker has NVIDIA's runtime."""
    return '"nvidia"' in docker("info", "--format", "{{json .Runtimes}}")


def docker(*arguments: str) -> str:
    """Return what a docker command prints."""
    return subprocess.run(
        ["docker", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout


def compose(*arguments: str, stdin: IO[bytes] | None = None, **environment: str) -> None:
    """Run docker compose in the checkout, its output shown; raise StackError when it fails."""
    finished = subprocess.run(
        ["docker", "compose", *arguments],
        cwd=REPOSITORY,
        stdin=stdin,
        env=os.environ | environment,
        check=False,
    )
    if finished.returncode:
        raise StackError(
            f"`docker compose {' '.join(arguments)}` failed: its last lines say why; `make stack-logs SERVICE=name` shows more"
        )


def containers() -> list[dict[str, Any]]:
    """Return what `docker inspect` says of each container of the stack, also of those that have ended."""
    found: list[dict[str, Any]] = json.loads(
        docker("inspect", *docker("compose", "ps", "--all", "--quiet").split())
    )
    return found
