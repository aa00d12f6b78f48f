"""Settle every delivery, in the order of delivery: what `load_dumps` starts.

For each delivery: read it once, judge its records, and settle it. A dump is loaded, held (the data-quality gate found something; a person decides, see
decide_dump), or refused (no record of it can be read). Its row in `dumps` settles it, then its file moves from `delivered` to `raw`. Whatever dies
before that, the next call finds the delivery again and repeats only what is missing. Content that is settled already changes nothing.

The exit status is 0 when this run has loaded a dump, or one was loaded after --signalled-until; 99 when there was none to load, 1 when the only ones to load could not be read or stored.
One such delivery does not stop the others. The last line of the output is JSON.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from loading import tables as delta
from loading.files import Delivery, DumpFiles
from loading.judged_dump import Progress
from loading.loader import Loader, Row
from loading.quality import Thresholds
from loading.tables import LOADED, Tables

NOTHING_LOADED = 99  # Airflow's BashOperator then marks the task as skipped
PROGRESS_SECONDS = 5.0
# A dump takes 0.4 GiB for each GB; one that is too large for this machine must not take the other services with it.
MOST_MEMORY_GIB = 8.0


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("load_dumps", description="Load every dump that was delivered.")
    parser.add_argument("--delivered", required=True, metavar="URI", help="folder of delivered dumps")
    add_table_arguments(parser)
    parser.add_argument(
        "--most-quarantined",
        required=True,
        type=float,
        metavar="SHARE",
        help="of a dump's records; with more it is held",
    )
    parser.add_argument(
        "--most-label-distance",
        required=True,
        type=float,
        metavar="SHARE",
        help="from the label shares of earlier dumps",
    )
    parser.add_argument(
        "--shortest-text",
        required=True,
        type=float,
        metavar="N",
        help="of a dump's median text, in characters",
    )
    parser.add_argument(
        "--longest-text",
        required=True,
        type=float,
        metavar="N",
        help="of a dump's median text, in characters",
    )
    parser.add_argument(
        "--signalled-until",
        type=moment,
        metavar="TIME",
        help="dumps that were loaded later count as loaded by this run: nobody was told of them",
    )
    parser.add_argument(
        "--crashed",
        action="append",
        default=[],
        metavar="PATH",
        help="a delivery that has ended a process before",
    )
    parser.add_argument(
        "--current",
        type=int,
        metavar="FD",
        help="an open file that gets the path of the delivery that is being settled",
    )
    return parser


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that every command of loading takes."""
    parser.add_argument(
        "--raw", required=True, metavar="URI", help="folder that keeps each content once, as <sha256>.csv"
    )
    parser.add_argument("--tweets-raw", required=True, metavar="URI")
    parser.add_argument("--quarantine", required=True, metavar="URI")
    parser.add_argument("--dumps", required=True, metavar="URI")
    parser.add_argument(
        "--run-id", required=True, metavar="TEXT", help="the run that asks, for the table dumps"
    )
    parser.add_argument("--most-memory-gib", type=float, default=MOST_MEMORY_GIB, metavar="N")


def limit_memory(gib: float) -> None:
    """Fail to get memory beyond a bound, instead of taking it from other programs."""
    limit = int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def begin(delivery: Delivery, options: argparse.Namespace) -> None:
    """Tell whoever has started this process which delivery is being settled. Raises MemoryError for one that has ended a process before."""
    if delivery.path in options.crashed:
        raise MemoryError(
            "it has ended the process that read it, most likely for want of memory: deliver it in smaller parts, or give the loader "
            f"more than --most-memory-gib={options.most_memory_gib:g}"
        )
    if options.current is not None:
        os.ftruncate(options.current, 0)
        os.pwrite(options.current, delivery.path.encode(), 0)


def moment(text: str) -> datetime | None:
    """A time in ISO 8601 with its zone, None for an empty text."""
    return datetime.fromisoformat(text) if text else None


def print_progress(source: str, total_bytes: int) -> Progress:
    """A function that prints how far a dump has been read, every PROGRESS_SECONDS."""
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


def describe_outcome(delivery: Delivery, row: Row, run_id: str) -> str:
    """One line for a person: what became of a delivery."""
    if row["run_id"] != run_id:
        return f"{delivery.source}: delivered before as {row['source']}, {row['state']}; nothing changes"
    account = "{records:,} records = {accepted:,} accepted ({known:,} known) + {duplicates:,} duplicates + {quarantined:,} quarantined".format(
        **row
    )
    return ": ".join(
        filter(None, [delivery.source, row["state"], account if row["records"] else "", row["reason"]])
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Settle every delivery; returns the exit status."""
    options = arg_parser().parse_args(arguments)
    limit_memory(options.most_memory_gib)
    started = time.monotonic()
    tables = Tables(options.tweets_raw, options.quarantine, options.dumps)
    files = DumpFiles(options.delivered, options.raw)
    thresholds = Thresholds(
        options.most_quarantined, options.most_label_distance, options.shortest_text, options.longest_text
    )
    loader = Loader(tables, files, options.run_id, thresholds, print_progress)
    failed = []
    for delivery in files.deliveries():
        try:
            begin(delivery, options)
            print(describe_outcome(delivery, loader.settle(delivery), options.run_id), flush=True)
        except Exception as error:
            if not files.exists(delivery.path):
                print(f"{delivery.source}: another loader was faster", flush=True)
                continue
            # The others do not wait for it; the next run finds it again.
            print(
                f"load_dumps: error: {delivery.source} could not be loaded: {type(error).__name__}: {error}",
                file=sys.stderr,
                flush=True,
            )
            failed.append(delivery.source)
    # Rows of an earlier try of this run count: whoever waits for new tweets has not heard of them yet.
    rows = delta.read_dumps(tables).values()
    states = Counter(row["state"] for row in rows if row["run_id"] == options.run_id)
    since = options.signalled_until
    has_loaded = states[LOADED] or any(
        row["state"] == LOADED and since and row["ingested_at"] > since for row in rows
    )
    print(
        json.dumps(
            {"job": "load_dumps", **states, "failed": failed, "seconds": round(time.monotonic() - started, 1)}
        )
    )
    return 0 if has_loaded else 1 if failed else NOTHING_LOADED


if __name__ == "__main__":
    sys.exit(main())
