"""Carry out a user's decision about a dump: approve or reject a held dump, retract a loaded one, reopen one.

    python -m loading.decide_dump --decision approve|reject|retract|reopen --dump-sha256 HASH --reason TEXT

An approved dump is loaded without the data-quality gate, with its original delivery time. Open questions
about a dump are answered by `--mapping`; the answer is stored for later dumps with the same header.

The rows of a retracted dump are deleted from `tweets_raw` and `quarantine`, so that tweets of earlier dumps
become current again.

A rejected, refused, failed or retracted dump can be reopened. It is processed again like a new delivery, with
the data-quality gate, but with the time of its first delivery. `--delivered-at` corrects this time.

Repeating a decision has no effect. The exit status is 0 if `tweets_raw` has changed, 99 if it has not, and 65
if the decision does not fit the dump's state.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from deltalake import DeltaTable

from contracts.exit_status import InputError, NothingToDo, run_command
from contracts.tables import FAILED, HELD, LOADED, MIN_REASON_LENGTH, REFUSED, REJECTED, RETRACTED
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
from loading.description import join_questions
from loading.files import Delivery, DumpFiles
from loading.loader import Loader
from loading.tables import commits, dumps
from loading.tables.dumps import Row
from loading.tables.schemas import Tables

# The required state of the dump, and its state afterwards.
DECISIONS = {"approve": (HELD, LOADED), "reject": (HELD, REJECTED), "retract": (LOADED, RETRACTED)}
REOPEN = "reopen"
CLOSED = (FAILED, REFUSED, REJECTED, RETRACTED)


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "decide_dump", description="Approve or reject a held dump, retract a loaded one, or reopen a dump."
    )
    parser.add_argument("--dump-sha256", required=True, metavar="HASH")
    parser.add_argument("--decision", required=True, choices=(*DECISIONS, REOPEN))
    parser.add_argument("--reason", required=True, type=str.strip, metavar="TEXT", help="is written to dumps")
    parser.add_argument(
        "--delivered-at",
        type=parse_time,
        metavar="TIME",
        help="time of delivery of a reopened dump (ISO 8601 with zone; empty for its first delivery)",
    )
    add_common_arguments(parser)
    add_limits(parser, required=False)
    return parser


def find_dump(tables: Tables, sha256: str) -> Row:
    """Return the row of the dump. Raise InputError if there is none."""
    row = dumps.read_dumps(tables).get(sha256)
    if row is None:
        raise InputError(f"there is no dump {sha256}; see the table dumps")
    return row


def check_state(row: Row, decision: str, run_id: str) -> None:
    """Raise InputError if a decision other than REOPEN does not fit the state of the dump."""
    before, after = DECISIONS[decision]
    if row["state"] != before and not (row["state"] == after and row["run_id"] == run_id):
        raise InputError(
            f"the dump {row['source']} is {row['state']}; only a {before} dump can become {after}"
        )


def approve(loader: Loader, row: Row, reason: str) -> None:
    """Load a held dump.

    Raises:
        InputError: a question about the dump is open, or another run has rejected it meanwhile.
    """
    delivery = Delivery(row["delivered_at"], row["source"], loader.files.raw_path(row["dump_sha256"]))
    with loader.validate(delivery.path, delivery.source) as dump:
        if dump.questions:
            raise InputError(f"the dump {row['source']} has open questions: {join_questions(dump.questions)}")
        reason = f"approved: {reason} (held because {row['reason']})"
        current = loader.store(dump, delivery, dumps.read_dumps(loader.tables), reason)
    if current["state"] != LOADED:
        # Another run has rejected it meanwhile, or it has no tweet.
        commits.remove_dump(loader.tables.tweets_raw, current["dump_sha256"])
        raise InputError(f"the dump {row['source']} is {current['state']} now: {current['reason']}")


def reopen(loader: Loader, row: Row, reason: str, delivered_at: datetime | None) -> Row:
    """Process a dump again, unless this run has done so. Return its row.

    Raises:
        InputError: the dump is loaded or held, its time is in the future, or the mapping is wrong.
    """
    if row["state"] in (LOADED, HELD) and row["run_id"] == loader.run_id:
        return row
    if row["state"] not in CLOSED:
        raise InputError(
            f"the dump {row['source']} is {row['state']}; a dump in one of these states can be reopened: "
            + ", ".join(CLOSED)
        )
    delivered_at = delivered_at or row["delivered_at"]
    if delivered_at > datetime.now(UTC):
        raise InputError(
            f"the delivery time {delivered_at} of the dump {row['source']} is in the future: enter the time "
            "at which it was delivered"
        )
    if delivered_at != row["delivered_at"]:
        dumps.upsert_dump(loader.tables, row | {"delivered_at": delivered_at}, replaces=CLOSED)
    path = loader.files.raw_path(row["dump_sha256"])
    current = loader.process(Delivery(delivered_at, row["source"], path), f"reopened: {reason}")
    if current["dump_sha256"] != row["dump_sha256"]:  # its bytes could not be read before
        dumps.delete_dump(loader.tables, row["dump_sha256"])
    return current


def print_event(tables: Tables, sha256: str, rows: int) -> None:
    """Print how `tweets_raw` has changed, for the Asset event."""
    if DeltaTable.is_deltatable(tables.tweets_raw):
        version = DeltaTable(tables.tweets_raw).version()
        print(json.dumps({"job": "decide_dump", **build_event(rows, version, [sha256])}), flush=True)


def carry_out(options: argparse.Namespace) -> None:
    """Carry out a decision unless it is carried out already.

    Raises:
        InputError: the reason is too short, or the dump does not exist or is in another state.
        NothingToDo: `tweets_raw` has not changed.
    """
    tables, run_id, decision, reason = read_tables(options), options.run_id, options.decision, options.reason
    if len(reason) < MIN_REASON_LENGTH:
        raise InputError(f"the reason must have at least {MIN_REASON_LENGTH} characters")
    limit_memory(options.max_memory_gib)
    files = DumpFiles(options.raw, options.raw)
    row = find_dump(tables, options.dump_sha256)
    answer, limits = read_answer(options, row["source"]), read_limits(options)
    if decision == REOPEN:
        thresholds = read_thresholds(options)
        loader = Loader(tables, files, run_id, thresholds, print_progress, limits, answer, reopens=CLOSED)
        current = reopen(loader, row, reason, options.delivered_at)
        print(f"{current['dump_sha256']}: {current['state']}: {current['reason']}", flush=True)
        if current["state"] != LOADED:
            raise NothingToDo("tweets_raw has not changed")
        print_event(tables, current["dump_sha256"], current["accepted"])
        return
    check_state(row, decision, run_id)
    before, after = DECISIONS[decision]
    if row["state"] == before and decision == "approve":
        approve(Loader(tables, files, run_id, None, print_progress, limits, answer), row, reason)
    elif row["state"] == before:
        new = row | {"state": after, "reason": reason, "run_id": run_id}
        dumps.upsert_dump(tables, new, replaces=(before,))
    if decision == "retract":
        commits.remove_dump(tables.quarantine, row["dump_sha256"])
    # Also for a rejected dump: an approving run may have died after it appended the tweets.
    removed = decision != "approve" and commits.remove_dump(tables.tweets_raw, row["dump_sha256"])
    print(f"{row['dump_sha256']}: {after}: {reason}", flush=True)
    if decision == "reject" and not removed:
        raise NothingToDo("tweets_raw has not changed")
    accepted = find_dump(tables, row["dump_sha256"])["accepted"]
    print_event(tables, row["dump_sha256"], accepted if decision == "approve" else int(removed))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = arg_parser().parse_args(arguments)
    return run_command(lambda: carry_out(options))


if __name__ == "__main__":
    sys.exit(main())
