"""Erase tweets by their ids, or all tweets of a dump: from the tables, their history, and the files in raw/.

    python -m loading.erasure.erase_tweets raw --tweet-ids '["123"]' --reason TEXT ...
    python -m loading.erasure.erase_tweets clean --tweet-ids '["123"]' ...
    python -m loading.erasure.erase_tweets scored ...

Each step writes tables that have their own Airflow pool. `raw` writes tweets_raw, quarantine, dumps, erasures
and the files in raw/. A dump that is loaded is rewritten as CSV with its remaining valid records. A file of a
dump that is not loaded is deleted. The table `erasures` has the SHA-256 of each id: a later dump with an
erased tweet is held. The same content is not stored again.

Invalid records and the bytes of unreadable files are searched for the texts of the tweets, and for ids of at
least 8 characters. The result names the unreadable files.

Every step can be killed and repeated. The last line of the output is JSON. The exit status is 65 if a held
dump contains the tweets: a user must decide about it first.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from deltalake import DeltaTable

from contracts.exit_status import InputError, run_command
from contracts.tables import ERASED, HELD, LOADED, MIN_REASON_LENGTH
from contracts.task_output import build_event
from loading.command_line import (
    add_common_arguments,
    limit_memory,
    read_limits,
    read_tables,
)
from loading.description import join_questions
from loading.erasure import tables as rows
from loading.erasure.matching import (
    REWRITTEN,
    Tweets,
    contains_bytes,
    count_matches,
    read_as_loaded,
    write_remaining,
)
from loading.files import DumpFiles
from loading.formats.dump_bytes import HashedDump
from loading.tables import commits, dumps
from loading.tables.dumps import Row
from loading.tables.erasures import is_erased_dump, read_dumps_of_run, record_erasure
from loading.tables.schemas import Tables
from loading.validated_dump import ValidatedDump, validate_dump

MAX_IDS = 1000
TWEET_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_TEXT_LENGTH = 2**31 - 1  # no limit
CLEARED = ("questions", "notes")  # they contain values of records


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser("erase_tweets", description=__doc__.partition("\n")[0])
    parser.add_argument("step", choices=("raw", "clean", "scored"))
    parser.add_argument("--tweet-ids", default="[]", type=json.loads, metavar="JSON", help="list of ids")
    parser.add_argument("--dump-sha256", default="", metavar="HASH", help="erase a whole dump")
    parser.add_argument("--reason", required=True, type=str.strip, metavar="TEXT")
    parser.add_argument("--tweets-clean", required=True, metavar="URI")
    parser.add_argument("--tweets-scored", required=True, metavar="URI")
    add_common_arguments(parser)
    return parser


def check(options: argparse.Namespace) -> None:
    """Raise InputError unless the input names either tweets or a dump, and a reason."""
    ids, sha256 = options.tweet_ids, options.dump_sha256
    if bool(ids) == bool(sha256):
        raise InputError("give either the ids of tweets or the SHA-256 of a dump")
    if sha256 and not SHA256.fullmatch(sha256):
        raise InputError(f"{sha256!r} is not a SHA-256 in lower-case hexadecimal")
    if len(ids) > MAX_IDS:
        raise InputError(f"{len(ids):,} ids are more than {MAX_IDS:,}: erase them in several runs")
    if wrong := [each for each in ids if not isinstance(each, str) or not TWEET_ID.fullmatch(each)]:
        raise InputError(f"{wrong[0]!r} is not an id of a tweet; write ids as strings")
    if len(options.reason) < MIN_REASON_LENGTH:
        raise InputError(f"the reason must have at least {MIN_REASON_LENGTH} characters")


def mark_erased(tables: Tables, row: Row, state: str, options: argparse.Namespace, **changes: Any) -> None:
    """Change the row of a dump: its state, and the columns that contain values of records."""
    reason = f"erased: {options.reason}"
    new = (
        row | dict.fromkeys(CLEARED) | {"state": state, "reason": reason, "run_id": options.run_id} | changes
    )
    dumps.upsert_dump(tables, new, replaces=(row["state"],))


def erase_dump(options: argparse.Namespace, tables: Tables, files: DumpFiles) -> dict[str, Any]:
    """Erase a dump: its rows and its file."""
    sha256 = options.dump_sha256
    row = dumps.read_dumps(tables).get(sha256)
    if row is None:
        raise InputError(f"there is no dump {sha256}; see the table dumps")
    record_erasure(tables.erasures, [], [sha256], options.reason, options.run_id)
    deleted = {
        "tweets_raw": commits.remove_dump(tables.tweets_raw, sha256),
        "quarantine": commits.remove_dump(tables.quarantine, sha256),
    }
    is_stored = files.still_exists(files.raw_path(sha256))
    if is_stored:
        files.delete(files.raw_path(sha256))
    mark_erased(tables, row, ERASED, options)
    return {
        "rows": deleted,
        "dumps": [sha256],
        "since": row["delivered_at"].isoformat(),
        "files_deleted": [sha256] if is_stored else [],
    }


@contextmanager
def read_stored(
    files: DumpFiles, sha256: str, row: Row | None, options: argparse.Namespace
) -> Iterator[ValidatedDump]:
    """Read a stored dump with the mapping with which it was loaded, or that of a rewritten file."""
    path = files.raw_path(sha256)
    # The dump may have been loaded with a larger limit. A limit would drop records from a rewritten file.
    limits = replace(read_limits(options), max_text_length=MAX_TEXT_LENGTH)
    given = read_as_loaded(row)
    if is_erased_dump(options.erasures, sha256):
        digest, _ = HashedDump(lambda: files.open(path)).digest()
        if digest != sha256:  # an earlier run or try has rewritten the file
            given = REWRITTEN
    with validate_dump(lambda: files.open(path), given, limits) as dump:
        yield dump


def find_dumps(
    options: argparse.Namespace, tables: Tables, files: DumpFiles, tweets: Tweets
) -> tuple[list[str], list[str]]:
    """Return the stored dumps that contain the tweets, and the dumps that could not be searched by record.

    Raises:
        InputError: a held dump contains them.
    """
    known = dumps.read_dumps(tables)
    matching: list[str] = []
    unreadable: list[str] = []
    for sha256 in files.stored():
        row = known.get(sha256)
        with read_stored(files, sha256, row, options) as dump:
            if dump.refusal is None:
                is_match = count_matches(dump, tweets) > 0
            else:
                unreadable.append(sha256)
                with files.open(files.raw_path(sha256)) as file:
                    is_match = contains_bytes(file, tweets)
        if is_match and row and row["state"] == HELD:
            raise InputError(
                f"the held dump {row['source']} contains these tweets: approve or reject it, then clear the "
                "task"
            )
        if is_match:
            matching.append(sha256)
    return matching, unreadable


def erase_from_file(
    options: argparse.Namespace, tables: Tables, files: DumpFiles, tweets: Tweets, sha256: str
) -> str:
    """Rewrite the file of a loaded dump without the tweets, or delete that of another dump. Return which."""
    row, path = dumps.read_dumps(tables).get(sha256), files.raw_path(sha256)
    if row is None or row["state"] != LOADED:
        files.delete(path)
        if row:
            mark_erased(tables, row, ERASED, options)
        return "files_deleted"
    with read_stored(files, sha256, row, options) as dump:
        if dump.questions:
            raise InputError(
                f"the dump {row['source']} cannot be read as it was loaded: "
                f"{join_questions(dump.questions)} Erase the whole dump {sha256}"
            )
        with write_remaining(dump, tweets) as rest:
            files.replace(path, rest)
    mark_erased(tables, row, LOADED, options, mapping=None, format=json.dumps({"format": "csv"}))
    return "files_rewritten"


def erase_ids(options: argparse.Namespace, tables: Tables, files: DumpFiles) -> dict[str, Any]:
    """Erase tweets from the files and the tables of loading.

    The files are changed last, because a repetition needs their texts to find invalid records.
    """
    tweets = Tweets(frozenset(options.tweet_ids))
    in_log = rows.read_texts(tables.tweets_raw, tweets)
    matching, unreadable = find_dumps(options, tables, files, tweets)
    record_erasure(tables.erasures, tweets.ids, matching, options.reason, options.run_id)
    deleted = {
        "quarantine": rows.delete_invalid_records(tables.quarantine, tweets),
        "tweets_raw": rows.delete_tweets(tables.tweets_raw, tweets.ids),
    }
    changed: dict[str, list[str]] = {"files_rewritten": [], "files_deleted": []}
    for sha256 in matching:
        changed[erase_from_file(options, tables, files, tweets, sha256)].append(sha256)
    known = dumps.read_dumps(tables)
    # An earlier try of this run may have rewritten files, so that they no longer match.
    earlier = {sha256 for sha256, row in known.items() if row["run_id"] == options.run_id}
    earlier |= read_dumps_of_run(tables.erasures, options.run_id)
    affected = sorted({*matching, *in_log, *earlier})
    times = [known[sha256]["delivered_at"] for sha256 in affected if sha256 in known]
    since = min(times).isoformat() if times else None
    return {
        "rows": deleted,
        "dumps": affected,
        "since": since,
        "not_searched_by_record": unreadable,
        **changed,
    }


def erase_raw(options: argparse.Namespace) -> dict[str, Any]:
    """Erase from the files and the tables of loading."""
    tables, files = read_tables(options), DumpFiles(options.raw, options.raw)
    result = (erase_dump if options.dump_sha256 else erase_ids)(options, tables, files)
    for uri in (tables.tweets_raw, tables.quarantine, tables.dumps):
        rows.purge_history(uri)
    return result


def erase_clean(options: argparse.Namespace) -> dict[str, Any]:
    """Erase from `tweets_clean`. `clean_tweets` adds earlier versions of tweets of an erased dump again."""
    if options.dump_sha256:
        deleted = rows.delete_rows(options.tweets_clean, f"dump_sha256 = '{options.dump_sha256}'")
    else:
        deleted = rows.delete_tweets(options.tweets_clean, options.tweet_ids)
    rows.purge_history(options.tweets_clean)
    return {"rows": {"tweets_clean": deleted}}


def erase_scored(options: argparse.Namespace) -> dict[str, Any]:
    """Erase the scores of tweets that are no longer in `tweets_clean`."""
    absent = rows.absent_tweets(options.tweets_scored, options.tweets_clean)
    deleted = rows.delete_tweets(options.tweets_scored, absent)
    rows.purge_history(options.tweets_scored)
    return {"rows": {"tweets_scored": deleted}}


STEPS = {"raw": erase_raw, "clean": erase_clean, "scored": erase_scored}


def carry_out(options: argparse.Namespace) -> None:
    """Carry out a step and print its result."""
    check(options)
    limit_memory(options.max_memory_gib)
    result = STEPS[options.step](options)
    if options.step == "raw" and DeltaTable.is_deltatable(options.tweets_raw):
        deleted, version = result["rows"].get("tweets_raw", 0), DeltaTable(options.tweets_raw).version()
        result |= build_event(deleted, version, result["dumps"])
    print(json.dumps({"job": f"erase_tweets {options.step}", **result}), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = arg_parser().parse_args(arguments)
    return run_command(lambda: carry_out(options))


if __name__ == "__main__":
    sys.exit(main())
