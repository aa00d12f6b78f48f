"""Command line: `.fabric/bin/python -m deploy.fabric plan|up|status|down`, called by `make`."""

import argparse
import sys
import tempfile
from pathlib import Path

from deploy.common.errors import CommandError, run_command
from deploy.fabric import adapter, converge, environment
from deploy.fabric.planning import Plan, make_plan
from deploy.fabric.project import write_archive
from deploy.fabric.rendering import describe, draw, steps
from deploy.fabric.specification import load

DEFAULT_SPECIFICATION = Path(__file__).parent / "vaxpulse.yaml"


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.fabric", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    plan = commands.add_parser(
        "plan", help="check a specification, show what `up` would do; needs no account"
    )
    up = commands.add_parser("up", help="create the slice and start the stack on it, or go on with it")
    status = commands.add_parser("status", help="show the slice, its machines and services")
    down = commands.add_parser("down", help="delete the slice with all data")
    for command in (plan, up, status, down):
        command.add_argument(
            "--spec", type=Path, default=DEFAULT_SPECIFICATION, help="YAML file of the slice"
        )
    plan.add_argument(
        "--output", type=Path, help="folder of plan.txt, plan.svg, plan.graphml (default: in var/fabric)"
    )
    for command in (up, down):
        command.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def main() -> int:
    """Run a command, and return its exit status."""
    arguments = arg_parser().parse_args()
    interrupted = "interrupted; `status` shows the state, `up` goes on"
    return run_command(lambda: run(arguments), "fabric", interrupted, (CommandError, OSError))


def run(arguments: argparse.Namespace) -> None:
    """Read the specification, and run a command."""
    plan = make_plan(load(arguments.spec, adapter.read_catalog()))
    if arguments.command == "plan":
        write_plan(plan, arguments.output or environment.state_folder(plan))
    else:
        run_on_fabric(arguments, plan)


def run_on_fabric(arguments: argparse.Namespace, plan: Plan) -> None:
    """Run a command that needs FABRIC."""

    def confirm(question: str) -> bool:
        return arguments.yes or ask(question)

    testbed = adapter.Testbed(adapter.connect())
    if arguments.command == "up":
        with tempfile.TemporaryDirectory() as folder:
            converge.up(testbed, plan, write_archive(Path(folder)), confirm)
    elif arguments.command == "down":
        converge.down(testbed, plan, confirm)
    else:
        print(converge.status(testbed, plan), end="")


def ask(question: str) -> bool:
    """Return whether a person answers yes. Raise CommandError if nobody can answer."""
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Nobody can answer here: use --yes (make: YES=1)")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def write_plan(plan: Plan, folder: Path) -> None:
    """Print a plan, and write it as text, picture and GraphML. It needs neither credentials nor a network."""
    folder.mkdir(parents=True, exist_ok=True)
    text = describe(plan)
    (folder / "plan.txt").write_text(text)
    (folder / "plan.svg").write_text(draw(plan))
    with tempfile.TemporaryDirectory() as logs:
        topology = adapter.build_topology(adapter.offline_manager(Path(logs)), plan)
        topology.save(str(folder / "plan.graphml"))
    print(text)
    print("`up` would:")
    for number, action in enumerate(steps(plan), start=1):
        print(f"  {number}. {action}")
    print(f"\nwritten to {folder}: plan.txt, plan.svg, plan.graphml")


if __name__ == "__main__":
    sys.exit(main())
