"""Process every delivery in the order of delivery. `load_dumps` runs this module in a subprocess.

Each delivery is read and its records are validated. Then the dump is loaded, held (a user must answer a
question, or the data-quality gate found something unusual; see decide_dump), or refused (it has no readable
record). Its row in `dumps` is written last, then its file moves from `delivered` to `raw`. If the process
dies earlier, the next run repeats only the missing steps. A content that was loaded, or that a user has
rejected or retracted, changes nothing.

A delivery that cannot be read or stored does not stop the others. It stays in `delivered` and is tried again.
After --max-tries failures, or at once if its mapping is wrong, its state is `failed` and its file moves to
`raw`. Failures while HDFS or the tables cannot be written do not count.

The exit status is 0 if this run has loaded a dump, or one was loaded after --notified-until; 1 if nothing was
loaded and a delivery must be tried again; else 99. The last line of the output is JSON. Its `errors` name the
deliveries with an error that is not in their row of `dumps`.
"""

import argparse
import errno
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from contracts.exit_status import InputError, NothingToDo, run_command
from contracts.tables import LOADED, REJECTED, RETRACTED
from contracts.task_output import build_event
from loading.command_line import (
    add_common_arguments,
    add_limits,
    limit_memory,
    parse_time,
    print_progress,
    read_answer,
    read_limits,
    read_tables,
    read_thresholds,
)
from loading.files import Delivery, DumpFiles
from loading.loader import Loader
from loading.tables.dumps import Row, count_failure, read_dumps

# Faults of the environment or the input. The message is sufficient. Any other exception is printed with its
# traceback.
EXPECTED_FAULTS = (OSError, MemoryError, CommitFailedError, InputError)
# With less free space the local disk is full, whatever the size of the dump.
MIN_FREE_BYTES = 2**30


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("load_dumps", description="Load every delivered dump.")
    parser.add_argument("--delivered", required=True, metavar="URI", help="folder of delivered dumps")
    add_common_arguments(parser)
    add_limits(parser, required=True)
    parser.add_argument(
        "--max-tries",
        required=True,
        type=int,
        metavar="N",
        help="a delivery that could not be processed N times is failed",
    )
    parser.add_argument(
        "--mapping-source", default="", metavar="NAME", help="source of the delivery that --mapping is for"
    )
    parser.add_argument(
        "--only", default="", metavar="NAME", help="process only the delivery with this source"
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
        help="a delivery that crashed an earlier process, the latest one last",
    )
    parser.add_argument(
        "--current", type=int, metavar="FD", help="an open file to which the path of each delivery is written"
    )
    return parser


def announce(delivery: Delivery, options: argparse.Namespace) -> None:
    """Write the current delivery to `--current`. Raise MemoryError if it crashed an earlier process."""
    if delivery.path in options.crashed:
        raise MemoryError(
            "it crashed the process that read it, probably for lack of memory (limit: "
            f"{options.max_memory_gib:g} GiB). Deliver it in smaller parts"
        )
    if options.current is not None:
        os.ftruncate(options.current, 0)
        os.pwrite(options.current, delivery.path.encode(), 0)


def describe_outcome(delivery: Delivery, row: Row, run_id: str) -> str:
    """Return a line that describes the outcome of a delivery."""
    if row["run_id"] != run_id:
        known = f"{delivery.source}: same content as {row['source']} ({row['state']}), nothing changed"
        hint = f"; reopen_dump processes it again: {row['dump_sha256']}"
        return known + (hint if row["state"] in (REJECTED, RETRACTED) else "")
    counts = ""
    if row["records"]:
        counts = (
            "{records:,} records = {accepted:,} accepted ({known:,} seen before) + {duplicates:,} duplicates "
            "+ {quarantined:,} quarantined".format(**row)
        )
    return ": ".join(filter(None, [delivery.source, row["state"], counts, row["reason"]]))


def is_outage(error: Exception, loader: Loader) -> bool:
    """Return whether an error is due to the environment: HDFS, a table or the local disk."""
    if isinstance(error, InputError | MemoryError):
        return False
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        # The records that the delivery had written to this disk are deleted.
        return shutil.disk_usage(tempfile.gettempdir()).free < MIN_FREE_BYTES
    return isinstance(error, DeltaError) or not loader.files.is_available()


def record_failure(
    loader: Loader, delivery: Delivery, error: Exception, options: argparse.Namespace
) -> Row | None:
    """Count a failure of a delivery. Return its row in `dumps` if it has failed finally.

    A wrong mapping fails in every try. An I/O error may be due to a DataNode that is away for some minutes,
    so it counts once in a run, whose task Airflow repeats within a minute.
    """
    if delivery.path in options.crashed[:-1]:
        return None  # an earlier process of this task has counted the crash
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, InputError):
        return loader.fail(delivery, str(error))
    name = PurePosixPath(delivery.path).name
    tries = count_failure(loader.tables, name, options.run_id if isinstance(error, OSError) else None)
    print(f"{delivery.source}: failure {tries} of {options.max_tries}", flush=True)
    if tries < options.max_tries:
        return None
    return loader.fail(delivery, f"{tries} tries have failed, the last one with {reason}")


def process_all(loader: Loader, options: argparse.Namespace) -> list[str]:
    """Process every delivery. Return the sources of those with an error that is not in a row of this run."""
    errors = []
    for delivery in loader.files.deliveries():
        if options.only not in ("", delivery.source):
            continue
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
            try:
                row = None if is_outage(error, loader) else record_failure(loader, delivery, error, options)
            except Exception:
                traceback.print_exc()
                row = None
            if row:
                print(describe_outcome(delivery, row, options.run_id), flush=True)
            if row is None or row["run_id"] != options.run_id:
                errors.append(delivery.source)
    return errors


def process_deliveries(options: argparse.Namespace) -> None:
    """Process every delivery and print a summary.

    Raises:
        NothingToDo: nothing was loaded, and there was no error.
        SystemExit: nothing was loaded, and there was an error.
    """
    limit_memory(options.max_memory_gib)
    started = time.monotonic()
    files, tables = DumpFiles(options.delivered, options.raw), read_tables(options)
    answer = read_answer(options, options.mapping_source)
    thresholds, limits = read_thresholds(options), read_limits(options)
    loader = Loader(tables, files, options.run_id, thresholds, print_progress, limits, answer)
    errors = process_all(loader, options)
    # Include dumps of an earlier try of this run: it may have died before Airflow updated the Asset.
    rows = read_dumps(tables).values()
    states = Counter(row["state"] for row in rows if row["run_id"] == options.run_id)
    since = options.notified_until
    loaded = [
        row
        for row in rows
        if row["state"] == LOADED
        and (row["run_id"] == options.run_id or (since and row["ingested_at"] > since))
    ]
    has_loaded = bool(loaded)
    result = {"job": "load_dumps", **states, "errors": errors}
    if has_loaded:
        version = DeltaTable(tables.tweets_raw).version()
        dumps = [row["dump_sha256"] for row in loaded]
        result |= build_event(sum(row["accepted"] for row in loaded), version, dumps)
    result["seconds"] = round(time.monotonic() - started, 1)
    print(json.dumps(result), flush=True)
    if not has_loaded and errors:
        raise SystemExit("load_dumps: error: nothing was loaded")
    if not has_loaded:
        raise NothingToDo("no dump was loaded")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = arg_parser().parse_args(arguments)
    return run_command(lambda: process_deliveries(options))


if __name__ == "__main__":
    sys.exit(main())
