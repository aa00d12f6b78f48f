"""Delete rows of Delta tables, their history and their change data feed."""

import re
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSelector, FileType, PyFileSystem

from loading.erasure.matching import Tweets
from loading.tables.conflicts import retry_on_conflict
from loading.tables.queries import query

VERSION_FILE = re.compile(r"(\d{20})\.")


def delete_rows(uri: str, condition: str) -> int:
    """Delete the rows that fulfil a condition, and return their number. A missing table has none."""

    def attempt() -> int:
        if not DeltaTable.is_deltatable(uri):
            return 0
        return int(DeltaTable(uri).delete(condition)["num_deleted_rows"] or 0)

    return retry_on_conflict(attempt)


def delete_tweets(uri: str, tweet_ids: Iterable[str]) -> int:
    """Delete the rows of tweets in one commit, and return their number. A missing table has none."""
    ids = pa.table({"tweet_id": pa.array(tweet_ids, pa.string())})

    def attempt() -> int:
        if not ids.num_rows or not DeltaTable.is_deltatable(uri):
            return 0
        merger = DeltaTable(uri).merge(ids, "old.tweet_id = new.tweet_id", "new", "old")
        return int(merger.when_matched_delete().execute()["num_target_rows_deleted"])

    return retry_on_conflict(attempt)


def sql_list(values: Sequence[str]) -> str:
    """Return values as an SQL list.

    >>> sql_list(["a", "it's"])
    "'a', 'it''s'"
    """
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


def read_texts(uri: str, tweets: Tweets) -> set[str]:
    """Remember the texts that `tweets_raw` has for the tweets. Return their dumps."""
    dumps: set[str] = set()
    if DeltaTable.is_deltatable(uri):
        ids = sql_list(sorted(tweets.ids))
        sql = f"SELECT safe_text, dump_sha256 FROM t WHERE tweet_id IN ({ids})"  # noqa: S608 (quoted)
        for row in query(DeltaTable(uri), sql).read_all().to_pylist():
            tweets.texts.add(row["safe_text"])
            dumps.add(row["dump_sha256"])
    return dumps


def delete_invalid_records(uri: str, tweets: Tweets) -> int:
    """Delete the rows of `quarantine` with a long id or a text of the tweets. Return their number."""
    if not DeltaTable.is_deltatable(uri):
        return 0
    pattern = tweets.pattern()
    found: dict[str, list[int]] = {}
    for batch in query(DeltaTable(uri), "SELECT dump_sha256, row_number, raw_record FROM t"):
        for row in batch.to_pylist():
            if pattern.search(row["raw_record"]):
                found.setdefault(row["dump_sha256"], []).append(row["row_number"])
    return sum(
        delete_rows(uri, f"dump_sha256 = '{sha256}' AND row_number IN ({', '.join(map(str, numbers))})")
        for sha256, numbers in found.items()
    )


def absent_tweets(scored_uri: str, clean_uri: str) -> Iterator[str]:
    """Yield the ids in `tweets_scored` that `tweets_clean` does not have."""
    if not DeltaTable.is_deltatable(scored_uri):
        return
    present: set[str] = set()
    if DeltaTable.is_deltatable(clean_uri):
        for batch in query(DeltaTable(clean_uri), "SELECT tweet_id FROM t"):
            present.update(batch.column("tweet_id").to_pylist())
    for batch in query(DeltaTable(scored_uri), "SELECT DISTINCT tweet_id FROM t"):
        yield from (tweet_id for tweet_id in batch.column("tweet_id").to_pylist() if tweet_id not in present)


def purge_history(uri: str) -> None:
    """Delete all data files, change files and log entries that the latest version does not need.

    Statistics and predicates of earlier commits contain values, so their log entries are deleted too. Readers
    of earlier versions fail. Stages that read changes since an earlier version read the whole table.
    """
    if not DeltaTable.is_deltatable(uri):
        return
    DeltaTable(uri).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True)
    table = DeltaTable(uri)
    table.create_checkpoint()
    files = PyFileSystem(DeltaStorageHandler(uri))
    for info in files.get_file_info(FileSelector("_delta_log", recursive=True)):
        found = VERSION_FILE.match(info.base_name)
        if info.type == FileType.File and found and int(found[1]) < table.version():
            files.delete_file(info.path)
