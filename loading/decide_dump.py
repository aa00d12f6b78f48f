"""Carry out what a person has decided about a dump: let a held one pass, reject it, or retract a loaded one.

    python -m loading.decide_dump --dump-sha256 HASH --decision pass|reject|retract --reason TEXT --raw URI --tweets-raw URI ... --run-id TEXT

A dump that passes is loaded as if the data-quality gate had found nothing; its tweets count by the time of its delivery. A retracted dump's rows
leave `tweets_raw` and `quarantine`, and the tweets of the dumps before it are current again; delivered once more, it is loaded once more. The
reason is kept in `dumps`. A decision that was carried out before is done again without effect.

The exit status is 0 when `tweets_raw` has changed, 99 when it has not, 65 when the dump is in another state than the decision needs.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from loading import tables as delta
from loading.files import Delivery, DumpFiles
from loading.loader import Loader, Row
from loading.settle_dumps import NOTHING_LOADED, add_table_arguments, limit_memory, print_progress
from loading.tables import HELD, LOADED, REJECTED, RETRACTED, Tables

# The state that a dump must be in, and the one that it is in afterwards.
DECISIONS = {"pass": (HELD, LOADED), "reject": (HELD, REJECTED), "retract": (LOADED, RETRACTED)}
SHORTEST_REASON = 10


class WrongStateError(ValueError):
    """The dump is not in the state that the decision needs."""


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Let a held dump pass, reject it, or retract a loaded one.")
    parser.add_argument("--dump-sha256", required=True, metavar="HASH")
    parser.add_argument("--decision", required=True, choices=DECISIONS)
    parser.add_argument(
        "--reason", required=True, type=reason, metavar="TEXT", help="why; kept in the table dumps"
    )
    add_table_arguments(parser)
    return parser


def reason(text: str) -> str:
    """A reason that says something."""
    if len(text.strip()) < SHORTEST_REASON:
        raise argparse.ArgumentTypeError(f"say why in at least {SHORTEST_REASON} characters")
    return text.strip()


def find_dump(tables: Tables, sha256: str, decision: str, run_id: str) -> Row:
    """The row of the dump. Raises WrongStateError where the decision does not fit its state."""
    before, after = DECISIONS[decision]
    row = delta.read_dumps(tables).get(sha256)
    if row is None:
        raise WrongStateError(f"there is no dump {sha256}: the table dumps has the hashes")
    if row["state"] != before and not (row["state"] == after and row["run_id"] == run_id):
        raise WrongStateError(
            f"the dump {row['source']} is {row['state']}; only a dump that is {before} can be {after}"
        )
    return row


def let_pass(tables: Tables, files: DumpFiles, row: Row, why: str, run_id: str) -> None:
    """Load a held dump."""
    loader = Loader(tables, files, run_id, thresholds=None, progress=print_progress)
    delivery = Delivery(row["delivered_at"], row["source"], files.kept(row["dump_sha256"]))
    with loader.judge(delivery.path, delivery.source) as dump:
        settled = loader.record(
            dump, delivery, delta.read_dumps(tables), f"let pass: {why} (held because {row['reason']})"
        )
    if settled["state"] != LOADED:
        # Somebody has rejected it meanwhile.
        delta.remove_dump(tables.tweets_raw, settled["dump_sha256"])
        raise WrongStateError(f"the dump {row['source']} is {settled['state']} by now")


def close(tables: Tables, row: Row, state: str, why: str, run_id: str) -> None:
    """Write that a dump is rejected or retracted, and why."""
    delta.record_dump(
        tables, row | {"state": state, "reason": why, "run_id": run_id}, replaces=(row["state"],)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a decision; returns the exit status."""
    options = arg_parser().parse_args(arguments)
    limit_memory(options.most_memory_gib)
    tables = Tables(options.tweets_raw, options.quarantine, options.dumps)
    files = DumpFiles(options.raw, options.raw)
    sha256, decision, why = options.dump_sha256, options.decision, options.reason
    try:
        changed = carry_out(
            tables, files, find_dump(tables, sha256, decision, options.run_id), decision, why, options.run_id
        )
    except WrongStateError as error:
        print(f"decide_dump: error: {error}", file=sys.stderr)
        return os.EX_DATAERR
    print(f"{sha256}: {DECISIONS[decision][1]}: {why}")
    return 0 if changed else NOTHING_LOADED


def carry_out(tables: Tables, files: DumpFiles, row: Row, decision: str, why: str, run_id: str) -> bool:
    """Do what was decided, unless it is done; returns whether `tweets_raw` may have changed."""
    before, after = DECISIONS[decision]
    if row["state"] == before:
        if decision == "pass":
            let_pass(tables, files, row, why, run_id)
        else:
            close(tables, row, after, why, run_id)
    if decision == "retract":
        delta.remove_dump(tables.quarantine, row["dump_sha256"])
    # Also of a rejected dump: a run that was to let it pass may have died after it had appended the tweets.
    return (
        decision == "pass"
        or delta.remove_dump(tables.tweets_raw, row["dump_sha256"]) > 0
        or decision == "retract"
    )


if __name__ == "__main__":
    sys.exit(main())
