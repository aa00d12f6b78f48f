"""Process every delivery in the order of delivery. `load_dumps` runs this module in a subprocess.

Each delivery is read and its records are validated. Then the dump is loaded, held (a user must answer a
question, or the data-quality gate found something unusual; see decide_dump), or refused (it has no readable
record). Its row in `dumps` is
written last, then its file moves from `delivered` to `raw`. If the process dies earlier, the next run repeats
only the missing steps. A content that was processed before changes nothing.

A delivery that cannot be read or stored does not stop the others. The exit status is 0 if this run has loaded
a dump, or one was loaded after --notified-until; 1 if nothing was loaded and a delivery failed; else 99. The
last line of the output is JSON.
"""

import argparse
import json
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from deltalake.exceptions import CommitFailedError

from contracts.exit_status import InputError, NothingToDo, run_command
from contracts.tables import LOADED
from loading.command_line import (
    add_common_arguments,
    limit_memory,
    print_progress,
    read_answer,
    read_limits,
    read_tables,
)
from loading.files import Delivery, DumpFiles
from loading.loader import Loader
from loading.tables.dumps import Row, read_dumps
from loading.validation.quality_gate import Thresholds

# Faults of the environment or the input. The message is sufficient. Any other exception is printed with its
# traceback.
EXPECTED_FAULTS = (OSError, MemoryError, CommitFailedError, InputError)


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("load_dumps", description="Load every delivered dump.")
    parser.add_argument("--delivered", required=True, metavar="URI", help="folder of delivered dumps")
    add_common_arguments(parser)
    for name, metavar, help_text in (
        ("--max-quarantined-share", "SHARE", "hold a dump with a larger share of records in quarantine"),
        ("--max-label-distance", "SHARE", "hold a dump whose label shares differ more from earlier dumps"),
        ("--min-median-length", "N", "hold a dump whose median text has fewer characters"),
        ("--max-median-length", "N", "hold a dump whose median text has more characters"),
        ("--max-changed-texts-share", "SHARE", "hold a dump with a larger share of ids with another text"),
    ):
        parser.add_argument(name, required=True, type=float, metavar=metavar, help=help_text)
    parser.add_argument(
        "--mapping-source", default="", metavar="NAME", help="source of the delivery that --mapping is for"
    )
    parser.add_argument(
        "--notified-until",
        type=parse_time,
        metavar="TIME",
        help="exit with 0 also if a dump was loaded after this time (ISO 8601 with zone; empty for none)",
    )
    parser.add_argument(
        "--crashed",
        action="append",
        default=[],
        metavar="PATH",
        help="a delivery that crashed an earlier process",
    )
    parser.add_argument(
        "--current", type=int, metavar="FD", help="an open file to which the path of each delivery is written"
    )
    return parser


def parse_time(text: str) -> datetime | None:
    """Return a time in ISO 8601 with its zone, None for an empty text."""
    return datetime.fromisoformat(text) if text else None


def announce(delivery: Delivery, options: argparse.Namespace) -> None:
    """Write the current delivery to `--current`. Raise MemoryError if it crashed an earlier process."""
    if delivery.path in options.crashed:
        raise MemoryError(
            "it crashed the process that read it, probably for lack of memory. Deliver it in smaller parts "
            f"or increase --max-memory-gib={options.max_memory_gib:g}"
        )
    if options.current is not None:
        os.ftruncate(options.current, 0)
        os.pwrite(options.current, delivery.path.encode(), 0)


def describe_outcome(delivery: Delivery, row: Row, run_id: str) -> str:
    """Return a line that describes the outcome of a delivery."""
    if row["run_id"] != run_id:
        return f"{delivery.source}: same content as {row['source']} ({row['state']}), nothing changed"
    counts = ""
    if row["records"]:
        counts = (
            "{records:,} records = {accepted:,} accepted ({known:,} seen before) + {duplicates:,} duplicates "
            "+ {quarantined:,} quarantined".format(**row)
        )
    return ": ".join(filter(None, [delivery.source, row["state"], counts, row["reason"]]))


def process_all(loader: Loader, options: argparse.Namespace) -> list[str]:
    """Process every delivery. Return the sources of the deliveries that could not be read or stored."""
    failed = []
    for delivery in loader.files.deliveries():
        try:
            announce(delivery, options)
            print(describe_outcome(delivery, loader.process(delivery), options.run_id), flush=True)
        except Exception as error:
            if not loader.files.still_exists(delivery.path):
                print(f"{delivery.source}: processed by another loader", flush=True)
                continue
            if not isinstance(error, EXPECTED_FAULTS):
                traceback.print_exc()
            print(
                f"load_dumps: error: {delivery.source} could not be loaded: {type(error).__name__}: {error}",
                file=sys.stderr,
                flush=True,
            )
            failed.append(delivery.source)
    return failed


def process_deliveries(options: argparse.Namespace) -> None:
    """Process every delivery and print a summary.

    Raises:
        NothingToDo: nothing was loaded, and nothing failed.
        SystemExit: nothing was loaded, and a delivery failed.
    """
    limit_memory(options.max_memory_gib)
    started = time.monotonic()
    files, tables = DumpFiles(options.delivered, options.raw), read_tables(options)
    thresholds = Thresholds(
        options.max_quarantined_share,
        options.max_label_distance,
        options.min_median_length,
        options.max_median_length,
        options.max_changed_texts_share,
    )
    answer = read_answer(options, options.mapping_source)
    loader = Loader(tables, files, options.run_id, thresholds, print_progress, read_limits(options), answer)
    failed = process_all(loader, options)
    # Include dumps of an earlier try of this run: it may have died before Airflow updated the Asset.
    rows = read_dumps(tables).values()
    states = Counter(row["state"] for row in rows if row["run_id"] == options.run_id)
    since = options.notified_until
    has_loaded = states[LOADED] or any(
        row["state"] == LOADED and since and row["ingested_at"] > since for row in rows
    )
    seconds = round(time.monotonic() - started, 1)
    print(json.dumps({"job": "load_dumps", **states, "failed": failed, "seconds": seconds}), flush=True)
    if not has_loaded and failed:
        raise SystemExit("load_dumps: error: nothing was loaded")
    if not has_loaded:
        raise NothingToDo("no dump was loaded")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = arg_parser().parse_args(arguments)
    return run_command(lambda: process_deliveries(options))


if __name__ == "__main__":
    sys.exit(main())
