"""Make a version of the registered model the champion. A person has decided to do so.

python -m training.promote --version 3 --instead-of 2
"""

import argparse
import json
import sys
from collections.abc import Sequence

from contracts.mlflow_names import TRAINING_EXPERIMENT
from contracts.task_output import EVENT
from training import command
from training.tracking.registry import Registry
from training.tracking.tracker import open_tracker


def promote(arguments: argparse.Namespace) -> None:
    """Make the version the champion. Raise InputError if it was compared with an earlier champion."""
    open_tracker(arguments.experiment)
    Registry(arguments.experiment).promote(arguments.version, arguments.instead_of or None)
    print(f"version {arguments.version} is the champion")
    print(json.dumps({EVENT: {"version": int(arguments.version)}}))


def main(argv: Sequence[str] | None = None) -> int:
    """Promote a version."""
    parser = argparse.ArgumentParser(
        prog="python -m training.promote", description="Make a version of the registered model the champion."
    )
    parser.add_argument("--version", required=True)
    parser.add_argument(
        "--instead-of",
        default="",
        metavar="VERSION",
        help="the champion that the version was compared with; empty if there was none",
    )
    parser.add_argument("--experiment", default=TRAINING_EXPERIMENT, help="(default: %(default)s)")
    arguments = parser.parse_args(argv)
    return command.run(lambda: promote(arguments))


if __name__ == "__main__":
    sys.exit(main())
