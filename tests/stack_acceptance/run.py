"""Acceptance checks of a running stack: `python -m tests.stack_acceptance.run smoke|faults`, for `make`.

`pipeline` runs in a container in the stack's network. Everything else runs on the server, with the standard
library only.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from deploy.common import sample_dump
from deploy.common.errors import CommandError
from deploy.stack import docker, settings
from tests.stack_acceptance import faults, security, spark_work

SAMPLE_TWEETS = 2000


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.stack_acceptance.run", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    smoke = commands.add_parser(
        "smoke", help="load a dump, check tables, report, models, logins, ports and secrets"
    )
    smoke.add_argument("--dump", default="", help="path of a CSV file (default: a new generated sample)")
    commands.add_parser(
        "faults", help="kill services while a sample is loaded, compare the tables with an undisturbed load"
    )
    return parser


def main() -> int:
    """Run a check, and return the exit status."""
    arguments = arg_parser().parse_args()
    try:
        values = settings.read_environment(settings.ENV_FILE)
        with tempfile.TemporaryDirectory() as folder:
            if arguments.command == "smoke":
                dump = Path(arguments.dump).expanduser() if arguments.dump else new_sample(Path(folder))
                smoke(dump, values)
            else:
                faults.inject(new_sample(Path(folder)), values)
    except (CommandError, OSError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def smoke(dump: Path, values: dict[str, str]) -> None:
    """Load a dump and check the results. Raise CommandError with all problems.

    Args:
        dump: a CSV file.
        values: the variables of .env.
    """
    if not dump.is_file():
        raise CommandError(f"there is no file {dump}: DUMP must be the path of a file")
    start = time.time()
    docker.compose(*faults.PIPELINE, "attacks")
    with dump.open("rb") as content:
        docker.compose(*faults.PIPELINE, "land", dump.name, stdin=content)
    tasks = spark_work.tasks_by_worker(settings.addresses(values)["spark_history"], start)
    print("Spark tasks by worker:", json.dumps(tasks))
    workers = len(docker.docker("compose", "ps", "--quiet", "spark-worker").split())
    if problems := [*spark_work.find_problems(tasks, workers), *security.find_problems(values)]:
        raise CommandError("; ".join(problems))
    print("Spark workers, logins, roles, ports and secrets: no problem found")


def new_sample(folder: Path) -> Path:
    """Write a generated dump with a new seed, and return its path."""
    seed = time.time_ns() // 1_000_000_000
    path = folder / f"sample-{seed}.csv"
    sample_dump.write_dump(SAMPLE_TWEETS, seed, path)
    return path


if __name__ == "__main__":
    sys.exit(main())
