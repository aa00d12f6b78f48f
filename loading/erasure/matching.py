"""Find the records of tweets in dumps: by id as loaded, in invalid records by long id and text."""

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO

import pyarrow as pa
import pyarrow.csv

from contracts.tables import TWEETS_RAW
from loading.mapping.model import GivenMapping
from loading.tables.dumps import Row
from loading.validated_dump import ValidatedDump, read_batches

# Columns of a rewritten file: those of a tweet that come from a record.
COLUMNS = [column.name for column in TWEETS_RAW.columns[:6]]
# Mapping of a rewritten file. Detection could ask about its ids or labels, or ignore the ids.
REWRITTEN = GivenMapping(
    {name: name for name in COLUMNS if name != "safe_text"}
    | {"text": "safe_text", "labels": {"-1": -1, "0": 0, "1": 1}}
)
# Shorter ids, for example row numbers, are also counts, labels or parts of texts.
MIN_ID_LENGTH = 8
MATCHES_NOTHING = r"(?!)"
# Shorter texts occur in other tweets, too.
MIN_TEXT_LENGTH = 10
BLOCK_BYTES = 1 << 24
# A needle may lie across two blocks.
OVERLAP_BYTES = 1 << 16


@dataclass
class Tweets:
    """The tweets to erase. `texts` are those that dumps and tables have for their ids."""

    ids: frozenset[str]
    texts: set[str] = field(default_factory=set)

    def needles(self) -> list[str]:
        """Return the texts, as CSV and JSON write them."""
        texts = {text for text in self.texts if len(text) >= MIN_TEXT_LENGTH}
        written = {json.dumps(text, ensure_ascii=ascii)[1:-1] for text in texts for ascii in (True, False)}
        quoted = {text.replace('"', '""') for text in texts}
        return sorted(texts | written | quoted)

    def long_ids(self) -> list[str]:
        """Return the ids that are long enough to be searched for in text."""
        return sorted(tweet_id for tweet_id in self.ids if len(tweet_id) >= MIN_ID_LENGTH)

    def pattern(self) -> re.Pattern[str]:
        """Return a pattern of the long ids as whole words, and of the texts."""
        words = [rf"(?<![\w-]){re.escape(tweet_id)}(?![\w-])" for tweet_id in self.long_ids()]
        return re.compile("|".join([*words, *map(re.escape, self.needles())]) or MATCHES_NOTHING)

    def of_batch(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Return which rows of a batch are these tweets, and remember their texts."""
        is_one = pa.compute.is_in(batch.column("tweet_id"), pa.array(sorted(self.ids), pa.string()))
        self.texts.update(batch.column("safe_text").filter(is_one).to_pylist())
        return is_one


def read_as_loaded(row: Row | None) -> GivenMapping:
    """Return the mapping with which a dump was read, from its row in `dumps`."""
    parts = json.loads((row or {}).get("mapping") or "{}")
    labels = {key: value for key, value in (parts.get("labels") or {}).items() if value in (-1, 0, 1, None)}
    return GivenMapping(
        {**parts, "labels": labels} if labels else {k: v for k, v in parts.items() if k != "labels"}
    )


def count_matches(dump: ValidatedDump, tweets: Tweets) -> int:
    """Return the number of records of the tweets in a dump that was read."""
    found = sum(tweets.of_batch(batch).true_count or 0 for batch in read_batches(dump.tweets_file))
    pattern = tweets.pattern()
    invalid = (
        record for batch in dump.invalid_records() for record in batch.column("raw_record").to_pylist()
    )
    return found + sum(pattern.search(record) is not None for record in invalid)


def contains_bytes(file: IO[bytes], tweets: Tweets) -> bool:
    """Return whether the bytes of a file contain an id or a text. It finds nothing in a compressed file.

    As in invalid records, ids with less than MIN_ID_LENGTH characters are not searched for.
    """
    needles = [needle.encode() for needle in [*tweets.long_ids(), *tweets.needles()]]
    tail = b""
    while block := file.read(BLOCK_BYTES):
        window = tail + block
        if any(needle in window for needle in needles):
            return True
        tail = window[-OVERLAP_BYTES:]
    return False


def write_remaining(dump: ValidatedDump, tweets: Tweets) -> IO[bytes]:
    """Return an unnamed file with the valid records of a dump as CSV, without the tweets.

    Invalid records are in the table `quarantine` only.
    """
    file = TemporaryFile()  # noqa: SIM115 (the caller closes it)
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    # With "\n" as line terminator, csv would not quote a field with a lone CR.
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for batch in remaining(read_batches(dump.tweets_file), tweets):
        for record in batch.select(COLUMNS).to_pylist():
            created_at = record["created_at"]
            record["created_at"] = created_at.isoformat() if created_at else None
            writer.writerow(record.values())
    text.detach()
    file.seek(0)
    return file


def remaining(batches: Iterable[pa.RecordBatch], tweets: Tweets) -> Iterable[pa.RecordBatch]:
    """Yield the rows that are not these tweets."""
    for batch in batches:
        yield batch.filter(pa.compute.invert(tweets.of_batch(batch)))
