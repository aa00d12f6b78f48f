"""The stack's command line: `python -m deploy.stack.run up|smoke|faults|down|logs`, behind `make`. Standard library alone: a server has no .venv."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deploy import sample_dump
from deploy.stack import docker, faults, security, settings, spark_work
from deploy.stack.docker import CLIENT, StackError, compose

START_SECONDS = 600
SAMPLE_TWEETS = 2000


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.stack.run", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="make .env when there is none, build, start, wait until all are healthy")
    smoke = commands.add_parser(
        "smoke",
        help="land a dump, follow all that it causes, check tables, report, model, logins, ports and secrets",
    )
    smoke.add_argument("--dump", default="", help="path of a CSV file; without it a new generated sample")
    commands.add_parser(
        "faults",
        help="land a sample and kill one service after the other meanwhile; compare the tables with those of an undisturbed run",
    )
    down = commands.add_parser("down", help="stop and remove the containers; data stays")
    down.add_argument("--volumes", action="store_true", help="remove the data as well")
    logs = commands.add_parser("logs", help="show the containers' logs")
    logs.add_argument("--service", help="one service, and go on showing what it writes")
    return parser


def main() -> int:
    """Run one command; every expected failure is one line and exit status 1."""
    arguments = arg_parser().parse_args()
    try:
        if arguments.command == "up":
            up()
        elif arguments.command == "smoke":
            smoke(arguments.dump)
        elif arguments.command == "faults":
            with tempfile.TemporaryDirectory() as folder:
                faults.inject(new_sample(Path(folder)), environment())
        elif arguments.command == "down":
            compose("down", "--remove-orphans", *(["--volumes"] if arguments.volumes else []))
        else:
            compose(
                "logs",
                *(
                    ["--follow", "--tail", "100", arguments.service]
                    if arguments.service
                    else ["--tail", "10"]
                ),
            )
    except (StackError, OSError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def up() -> None:
    """Bring the stack up and say where to look."""
    docker.require_docker()
    if added := settings.complete_environment(
        settings.ENV_FILE, settings.new_environment(gpu=docker.has_gpu())
    ):
        print(f"{settings.ENV_FILE} now has {', '.join(added)}: random secrets, ports and what is to start")
    (settings.REPOSITORY / "var" / "weights").mkdir(
        parents=True, exist_ok=True
    )  # Docker would make it, and root would own it
    commit = git_commit()
    start = time.monotonic()
    compose("build", VAXPULSE_COMMIT=commit)
    built = time.monotonic()
    print(f"images built in {built - start:.0f} s", flush=True)
    compose(
        "up",
        "--detach",
        "--wait",
        "--wait-timeout",
        str(START_SECONDS),
        "--no-build",
        "--remove-orphans",
        VAXPULSE_COMMIT=commit,
    )
    print(f"all services healthy in {time.monotonic() - built:.0f} s")
    values = settings.read_environment(settings.ENV_FILE)
    for name, url in settings.addresses(values).items():
        print(f"{name:<14} {url}")
    print(f"user {settings.ADMIN}, passwords in {settings.write_credentials(values)}")


def smoke(dump: str) -> None:
    """Land a dump and check what comes of it; raise StackError with all that is wrong."""
    values = environment()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(dump).expanduser() if dump else new_sample(Path(folder))
        if not path.is_file():
            raise StackError(f"there is no file {path}: DUMP takes the path of a CSV file")
        start = time.time()
        with path.open("rb") as content:
            compose(*CLIENT, "land", path.name, stdin=content)
    tasks = spark_work.tasks_by_worker(settings.addresses(values)["spark_history"], start)
    print("Spark tasks by worker:", json.dumps(tasks))
    workers = len(docker.docker("compose", "ps", "--quiet", "spark-worker").split())
    if wrong := [*spark_work.problems(tasks, workers), *security.problems(values)]:
        raise StackError("; ".join(wrong))
    print("logins, roles, ports and secrets: as they must be")


def new_sample(folder: Path) -> Path:
    """Write a generated dump that nobody has landed before; return its path."""
    seed = time.time_ns() // 1_000_000_000
    path = folder / f"sample-{seed}.csv"
    sample_dump.write_dump(SAMPLE_TWEETS, seed, path)
    return path


def environment() -> dict[str, str]:
    """Return the variables of .env; raise StackError where there is none."""
    if not settings.ENV_FILE.exists():
        raise StackError("there is no .env: run `make stack-up` first")
    return settings.read_environment(settings.ENV_FILE)


def git_commit() -> str:
    """Return the commit of this checkout, with `-dirty` where files differ from it; training runs are recorded with it."""
    described = subprocess.run(
        ["git", "-C", settings.REPOSITORY, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
