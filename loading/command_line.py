"""Parts of the command line that the commands of loading share."""

import argparse
import resource
import time
from dataclasses import fields
from datetime import datetime

from contracts.exit_status import InputError
from loading.detection.containers import Limits
from loading.loader import Answer
from loading.mapping.model import GivenMapping
from loading.tables.schemas import Tables
from loading.validated_dump import Progress
from loading.validation.quality_gate import Thresholds

PROGRESS_SECONDS = 5.0
# Loading takes 0.4 GiB of memory for each GB of a dump. The limit protects the other services of the machine.
MAX_MEMORY_GIB = 8.0
# Airflow renders an empty field of a form as one of these.
NO_MAPPING = ("", "null", "None", "{}")


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every command of loading takes."""
    parser.add_argument(
        "--raw", required=True, metavar="URI", help="folder with each content as <sha256>.csv"
    )
    parser.add_argument("--tweets-raw", required=True, metavar="URI")
    parser.add_argument("--quarantine", required=True, metavar="URI")
    parser.add_argument("--dumps", required=True, metavar="URI")
    parser.add_argument("--mappings", required=True, metavar="URI")
    parser.add_argument("--erasures", required=True, metavar="URI")
    parser.add_argument("--run-id", required=True, metavar="TEXT", help="is written to the table dumps")
    parser.add_argument("--max-memory-gib", type=float, default=MAX_MEMORY_GIB, metavar="N")
    parser.add_argument("--mapping", default="", metavar="JSON", help="what a user says about the columns")
    parser.add_argument("--user", default="", metavar="NAME", help="who gave the mapping (default: the run)")
    parser.add_argument(
        "--max-decompressed-gib",
        type=float,
        default=Limits.max_bytes / 2**30,
        metavar="N",
        help="refuse a dump that expands to more (default: %(default)s)",
    )
    parser.add_argument(
        "--max-text-length",
        type=int,
        default=Limits.max_text_length,
        metavar="CHARACTERS",
        help="quarantine records with longer texts (default: %(default)s)",
    )


def add_limits(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the limits of the data-quality gate."""
    for name, metavar, help_text in (
        ("--max-quarantined-share", "SHARE", "hold a dump with a larger share of records in quarantine"),
        ("--max-label-distance", "SHARE", "hold a dump whose label shares differ more from earlier dumps"),
        ("--min-median-length", "N", "hold a dump whose median text has fewer characters"),
        ("--max-median-length", "N", "hold a dump whose median text has more characters"),
        ("--max-changed-texts-share", "SHARE", "hold a dump with a larger share of ids with another text"),
    ):
        parser.add_argument(name, required=required, type=float, metavar=metavar, help=help_text)


def read_thresholds(options: argparse.Namespace) -> Thresholds:
    """Return the limits of the data-quality gate.

    Raises:
        InputError: a limit is missing.
    """
    values = {field.name: getattr(options, field.name) for field in fields(Thresholds)}
    if missing := [f"--{name.replace('_', '-')}" for name, value in values.items() if value is None]:
        raise InputError(f"the quality gate needs {', '.join(missing)}")
    return Thresholds(**values)


def parse_time(text: str) -> datetime | None:
    """Return a time in ISO 8601 with its zone, None for an empty text.

    Raises:
        ValueError: the text is another one, or has no zone.
    """
    moment = datetime.fromisoformat(text) if text else None
    if moment and moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment


def read_tables(options: argparse.Namespace) -> Tables:
    """Return the URIs of the tables."""
    return Tables(options.tweets_raw, options.quarantine, options.dumps, options.mappings, options.erasures)


def read_limits(options: argparse.Namespace) -> Limits:
    """Return the maximum sizes of a dump and of a text."""
    return Limits(int(options.max_decompressed_gib * 2**30), max_text_length=options.max_text_length)


def read_answer(options: argparse.Namespace, source: str) -> Answer | None:
    """Return the mapping that a user gave for the delivery with this source, None without one.

    Raises:
        InputError: `--mapping` is not a mapping.
    """
    if options.mapping.strip() in NO_MAPPING:
        return None
    return Answer(source, GivenMapping.parse(options.mapping), options.user or options.run_id)


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
