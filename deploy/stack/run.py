"""Command line of the stack: `python -m deploy.stack.run up|down|logs`, called by `make`.

It uses the standard library only, because a server has no `.venv`.
"""

import argparse
import os
import subprocess
import sys

from deploy.common.checkout import REPOSITORY
from deploy.common.deployment import ADMIN
from deploy.common.errors import CommandError, run_command
from deploy.common.steps import step
from deploy.stack import docker, settings

START_SECONDS = 600
PROJECT = "vaxpulse"  # `name` in docker-compose.yaml


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.stack.run", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "up", help="create .env if necessary, build, start, wait until all services are healthy"
    )
    down = commands.add_parser("down", help="stop and remove the containers; keep the data")
    down.add_argument("--volumes", action="store_true", help="delete the data, too")
    logs = commands.add_parser("logs", help="show the last lines of the containers' logs")
    logs.add_argument("--service", help="follow the log of one service")
    return parser


def main() -> int:
    """Run a command, and return its exit status."""
    arguments = arg_parser().parse_args()
    return run_command(lambda: run(arguments), "stack", "interrupted", (CommandError, OSError))


def run(arguments: argparse.Namespace) -> None:
    """Run a command."""
    if arguments.command == "up":
        up()
    elif arguments.command == "down":
        docker.compose("down", "--remove-orphans", *(["--volumes"] if arguments.volumes else []))
    elif arguments.service:
        docker.compose("logs", "--follow", "--tail", "100", arguments.service)
    else:
        docker.compose("logs", "--tail", "10")


def up() -> None:
    """Build and start the stack, and print its URLs."""
    docker.require_docker()
    refuse_volumes_without_secrets()
    make_readable()
    defaults = settings.new_environment(gpu=docker.has_gpu())
    if added := settings.complete_environment(settings.ENV_FILE, defaults):
        print(f"added to {settings.ENV_FILE}: {', '.join(added)}")
    # Without this folder Docker creates it, and root owns it.
    (REPOSITORY / "var" / "weights").mkdir(parents=True, exist_ok=True)
    with step("build images"):
        docker.compose("build")
    with step("start services"):
        wait = ["--wait", "--wait-timeout", str(START_SECONDS)]
        docker.compose("up", "--detach", *wait, "--no-build", "--remove-orphans")
    values = settings.read_environment(settings.ENV_FILE)
    for name, url in settings.addresses(values).items():
        print(f"{name:<14} {url}")
    print(f"user {ADMIN}, passwords in {settings.write_credentials(values)}")


def refuse_volumes_without_secrets() -> None:
    """Raise CommandError if a stack has data and there is no .env: its databases have other passwords."""
    project = os.environ.get("COMPOSE_PROJECT_NAME") or PROJECT
    label = f"label=com.docker.compose.project={project}"
    if not settings.ENV_FILE.exists() and docker.docker("volume", "ls", "--quiet", "--filter", label):
        raise CommandError(
            f"this machine has volumes of a stack `{project}`, and there is no {settings.ENV_FILE}: copy the "
            ".env of that stack, or set COMPOSE_PROJECT_NAME to another name for a second stack"
        )


def make_readable() -> None:
    """Let the users in the containers read the files of images and bind mounts, whatever the umask was."""
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    names = [line.removeprefix("!") for line in lines if line.startswith("!")]
    subprocess.run(["chmod", "-R", "go+rX", *names, "tests"], cwd=REPOSITORY, check=True)


if __name__ == "__main__":
    sys.exit(main())
