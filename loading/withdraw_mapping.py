"""Withdraw a mapping that a user gave for a header: later dumps with this header are asked about again.

    python -m loading.withdraw_mapping --mappings URI --header-sha256 HASH

Dumps that were loaded with the mapping stay. The exit status is 65 if there is no such mapping in use.
"""

import argparse
import sys
from collections.abc import Sequence

from contracts.exit_status import InputError, run_command
from loading.tables.mappings import withdraw_mapping


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser("withdraw_mapping", description="Withdraw a mapping.")
    parser.add_argument("--mappings", required=True, metavar="URI")
    parser.add_argument("--header-sha256", required=True, metavar="HASH", help="key in the table mappings")
    return parser


def carry_out(options: argparse.Namespace) -> None:
    """Withdraw the mapping. Raise InputError if there is none in use."""
    row = withdraw_mapping(options.mappings, options.header_sha256)
    if row is None:
        raise InputError(f"there is no mapping in use for the header {options.header_sha256}; see mappings")
    print(f"withdrawn: the mapping {row['mapping']} for the header {row['header']}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = arg_parser().parse_args(arguments)
    return run_command(lambda: carry_out(options))


if __name__ == "__main__":
    sys.exit(main())
