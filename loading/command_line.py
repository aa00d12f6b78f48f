"""Parts of the command line that the commands of loading share."""

import argparse
import resource
import time

from loading.tables.schemas import Tables
from loading.validation.dump import Progress

PROGRESS_SECONDS = 5.0
# Loading takes 0.4 GiB of memory for each GB of a dump. The limit protects the other services of the machine.
MAX_MEMORY_GIB = 8.0


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every command of loading takes."""
    parser.add_argument(
        "--raw", required=True, metavar="URI", help="folder with each content as <sha256>.csv"
    )
    parser.add_argument("--tweets-raw", required=True, metavar="URI")
    parser.add_argument("--quarantine", required=True, metavar="URI")
    parser.add_argument("--dumps", required=True, metavar="URI")
    parser.add_argument("--run-id", required=True, metavar="TEXT", help="is written to the table dumps")
    parser.add_argument("--max-memory-gib", type=float, default=MAX_MEMORY_GIB, metavar="N")


def read_tables(options: argparse.Namespace) -> Tables:
    """Return the URIs of the tables."""
    return Tables(options.tweets_raw, options.quarantine, options.dumps)


def limit_memory(gib: float) -> None:
    """Limit the memory of this process. An allocation above the limit fails."""
    limit = int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def print_progress(source: str, total_bytes: int) -> Progress:
    """Return a function that prints the progress of reading a dump, at most every PROGRESS_SECONDS."""
    last = time.monotonic()

    def show(bytes_: int, records: int) -> None:
        nonlocal last
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            print(
                f"{source}: {bytes_ / 1e6:,.0f} of {total_bytes / 1e6:,.0f} MB read, {records:,} records",
                flush=True,
            )

    return show
