"""Make a version of the registered model the champion, as a person has decided.

python -m training.promote --version 3 --instead-of 2
"""

import argparse
import sys
from collections.abc import Sequence

from training.exit_status import exit_status
from training.registry import Registry
from training.tracking import open_tracker


def promote(arguments: argparse.Namespace) -> None:
    """Make the version the champion; TrainingError when another one has become it since."""
    open_tracker(arguments.experiment)
    Registry(arguments.experiment).promote(arguments.version, arguments.instead_of or None)
    print(f"version {arguments.version} is the champion")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with one line on stderr when another version has become the champion since."""
    parser = argparse.ArgumentParser(
        prog="python -m training.promote", description="Make a version of the registered model the champion."
    )
    parser.add_argument("--version", required=True)
    parser.add_argument(
        "--instead-of",
        default="",
        metavar="VERSION",
        help="the champion that it was compared with; empty: none",
    )
    parser.add_argument("--experiment", default="vaxpulse", help="(default: %(default)s)")
    arguments = parser.parse_args(argv)
    return exit_status(lambda: promote(arguments))


if __name__ == "__main__":
    sys.exit(main())
