"""JSON of Twitter's API, of snscrape and of archives, and any other JSON objects, one object for each tweet.

Lines of JSON (JSONL) are decoded a block at a time. Documents (arrays, `tweets.js`, indented objects) are cut
into objects first, so that memory is bounded. msgspec decodes: it is in the lock, and skips unknown members
without creating objects; a document with NaN is decoded by the standard library.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from loading.formats.dump_bytes import whole_lines
from loading.readers.batches import RawBatch, RecordsAreJoined, string_array
from loading.readers.json_objects import json_objects
from loading.readers.tweets import PAGE_MEMBERS, WRAPPERS, expand_pages, tweet_columns
from loading.readers.tweets import as_text as as_column
from loading.validation.records import decode as decode_bytes

SAMPLE_TWEETS = 2000
# `window.YTD.tweets.part0 = [` of a Twitter archive, and other assignments.
ASSIGNMENT = re.compile(rb"\s*(?:(?:var|let|const)\s+)?[A-Za-z_$][\w.$\[\]\"']*\s*=\s*(?=[\[{])")
# Members of tweets whose text stands elsewhere, and of pages: see `expand_pages`.
COMPOSED_MEMBERS = (
    *PAGE_MEMBERS, *WRAPPERS, "retweeted_status", "retweetedTweet", "referenced_tweets", "extended_tweet",
    "note_tweet",
)  # fmt: skip
Scalar = str | int | float | bool | None
NESTED = re.compile(rb":\s*[\[{]")
NOT_JSON = "it is not a JSON object"


def is_json(sample: bytes) -> bool:
    """Return whether a file begins like JSON: an object, an array of objects or an assignment."""
    text = sample.lstrip()
    named = ASSIGNMENT.match(text)
    if named:
        text = text[named.end() :]
    return re.match(rb"\{\s*(?:\"|\})|\[\s*(?:\{|\]|\[|null\b)", text) is not None


def decode(data: bytes) -> Any:
    """Return the value of a JSON document.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(data)  # NaN and Infinity, which pandas writes


class JsonReader:
    """Tweets of a JSON or JSONL file.

    Args:
        blocks: the file as UTF-8.
        sample: the beginning of the file, which `blocks` contain too.
        whole: whether the sample is the whole file.
    """

    def __init__(self, blocks: Iterator[bytes], sample: bytes, *, whole: bool) -> None:
        self._blocks = blocks
        self.is_lines = _is_lines(sample, whole=whole)
        documents = self._documents(iter([sample]), whole=whole)
        self._rows: list[Mapping[str, str | None]] = []
        self._has_pages = False
        for group in documents:
            for document in group:
                tweets = self._tweets(document)[0]
                self._rows.extend(tweets)
                self._has_pages |= len(tweets) > 1
            if len(self._rows) >= SAMPLE_TWEETS:
                break
        names: dict[str, None] = {}
        for row in self._rows[:SAMPLE_TWEETS]:
            names |= dict.fromkeys(row)
        self.header = list(names)

    def sample(self) -> Mapping[str, Sequence[str | None]]:
        """Return the values of the first tweets by column."""
        return {name: [row.get(name) for row in self._rows[:SAMPLE_TWEETS]] for name in self.header}

    def batches(self, wanted: Sequence[str], joined: RecordsAreJoined | None = None) -> Iterator[RawBatch]:
        """Yield all tweets. Objects that are no tweets are rejected."""
        first_row_number = 1
        for documents in self._documents(self._blocks, whole=True):
            batch = self._batch(documents, wanted, first_row_number)
            if batch.size:
                yield batch
                first_row_number += batch.size

    def _documents(self, blocks: Iterator[bytes], *, whole: bool) -> Iterator[list[bytes]]:
        if not self.is_lines:
            yield from json_objects(blocks, whole=whole)
            return
        for block in whole_lines(blocks):
            # A CR alone is not a line end here: JSON escapes it in strings, and between members it is a
            # blank.
            lines = [line for line in block.split(b"\n") if line and not line.isspace()]
            yield lines if whole else lines[:-1]

    def _batch(self, documents: list[bytes], wanted: Sequence[str], first_row_number: int) -> RawBatch:
        try:
            if not self._has_pages and not is_composed(b"\n".join(documents)):
                return _batch_of_plain_tweets(documents, wanted, first_row_number)
        except (ValueError, RecursionError):
            pass  # find the documents that are no tweets one by one
        return self._batch_of_any(documents, wanted, first_row_number)

    def _batch_of_any(self, documents: list[bytes], wanted: Sequence[str], first_row_number: int) -> RawBatch:
        rows: list[Mapping[str, str | None]] = []
        positions, rejected, size = [], {}, 0
        raws: dict[int, bytes | Mapping[str, str | None]] = {}
        for document in documents:
            tweets, reason = self._tweets(document)
            if reason is not None:
                rejected[size], raws[size] = reason, document
                size += 1
            for tweet in tweets:
                positions.append(size)
                # The document of a page would be repeated for each of its tweets.
                raws[size] = document if len(tweets) == 1 else tweet
                rows.append(tweet)
                size += 1
        columns = {name: _string_array([row.get(name) for row in rows]) for name in wanted}
        return RawBatch(
            first_row_number,
            size,
            np.array(positions, np.int64),
            columns,
            rejected,
            lambda i: raw_record(raws[i]),
        )

    def _tweets(self, document: bytes) -> tuple[list[Mapping[str, str | None]], str | None]:
        """Return the tweets in a document as columns, or the reason why there are none."""
        try:
            value = decode(document)
        except (ValueError, RecursionError):
            return [], NOT_JSON
        if not isinstance(value, dict):
            return [], NOT_JSON
        return [tweet_columns(tweet) for tweet in expand_pages(value)], None


def raw_record(source: bytes | Mapping[str, str | None]) -> str:
    """Return the text of a document, or the members of a tweet as JSON."""
    if isinstance(source, bytes):
        return decode_bytes(source)
    # A lone surrogate becomes its escape in JSON.
    return json.dumps(source, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def is_composed(documents: bytes) -> bool:
    """Return whether the text of a tweet is in a nested object, or tweets are on a page."""
    if not NESTED.search(documents):
        return False
    names = [name.encode() for name in COMPOSED_MEMBERS if f'"{name}"'.encode() in documents]
    return bool(names) and re.search(rb'"(?:%b)"\s*:\s*[\[{]' % b"|".join(names), documents) is not None


def _batch_of_plain_tweets(documents: list[bytes], wanted: Sequence[str], first_row_number: int) -> RawBatch:
    """Return a batch of tweets whose text is complete, without creating objects for other members.

    Raises:
        ValueError: a document is not such a tweet.
    """
    decoder = _plain_decoder(tuple(wanted))
    rows = [decoder.decode(document) for document in documents]
    columns = {}
    for i, name in enumerate(wanted):
        attribute = attrgetter(f"c{i}")
        values = [attribute(row) for row in rows]
        columns[name] = column_of(values)
    positions = np.arange(len(documents))
    return RawBatch(
        first_row_number, len(documents), positions, columns, {}, lambda i: decode_bytes(documents[i])
    )


def column_of(values: Sequence[Scalar]) -> pa.Array:
    """Return a column of JSON values as strings."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {int}:
        try:
            return pa.array(values, pa.int64()).cast(pa.string())
        except (pa.ArrowException, OverflowError):
            pass  # a number of more than 64 bits
    return _string_array(values if kinds <= {str} else [as_column(value) for value in values])  # type: ignore[arg-type]


@cache
def _plain_decoder(names: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    fields = [(f"c{i}", Scalar, None) for i in range(len(names))]
    row = msgspec.defstruct("Row", fields, rename={f"c{i}": name for i, name in enumerate(names)})
    return msgspec.json.Decoder(row)


def _string_array(values: Sequence[str | None]) -> pa.Array:
    try:
        return string_array(values)
    except UnicodeEncodeError:
        return string_array([_encodable(value) for value in values])


def _encodable(value: str | None) -> str | None:
    """Return a value, None if it has lone surrogates, which UTF-8 cannot represent."""
    try:
        return value and value.encode().decode()
    except UnicodeEncodeError:
        return None


def _is_lines(sample: bytes, *, whole: bool) -> bool:
    """Return whether each line is a document: the first two lines are objects by themselves."""
    lines = [line for line in sample.split(b"\n") if line.strip()]
    if not whole and len(lines) > 1:
        lines = lines[:-1]
    if not lines[:1] or not lines[0].lstrip().startswith(b"{"):
        return False
    for line in lines[:20]:
        try:
            if isinstance(decode(line), dict):
                return True
        except (ValueError, RecursionError):
            continue
    return False
