"""Validate a dump in one pass. Counts stay in memory, records on the local disk."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.ipc

from contracts.labels import LABELS
from loading.formats.csv_records import Records, close_at_line_end, find_records, read_records
from loading.formats.dump_bytes import HashedFile, RefusedDumpError, content_blocks, whole_lines
from loading.threads import map_in_threads, prefetch
from loading.validation.record_rules import Layout, read_header
from loading.validation.records import (
    INVALID_RECORDS,
    MAX_COUNTED_LENGTH,
    TWEETS,
    ValidatedRecords,
    may_continue,
    validate_records,
)

Progress = Callable[[int, int], None]


@dataclass
class ValidatedDump:
    """Content of a dump.

    Attributes:
        tweets_file: an Arrow stream of all valid tweets, duplicates included.
        invalid_records_file: an Arrow stream of the invalid records.
        sha256, bytes: hash and size of the file as delivered.
        refusal: why the dump as a whole cannot be loaded, or None. A refused dump has no records.
        records: number of records after the header.
        quarantined: number of invalid records.
        label_counts: number of valid tweets per label, in the order of LABELS.
        text_lengths: `text_lengths[n]` is the number of valid tweets whose text has n characters.
        sorted_id_hashes: 64-bit hashes of the ids, ascending.
        superseded: row numbers of tweets whose id occurs again later in the dump, ascending.
    """

    tweets_file: IO[bytes]
    invalid_records_file: IO[bytes]
    sha256: str = ""
    bytes: int = 0
    refusal: str | None = None
    records: int = 0
    quarantined: int = 0
    label_counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LABELS), np.int64))
    text_lengths: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(MAX_COUNTED_LENGTH + 1, np.int64)
    )
    sorted_id_hashes: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    superseded: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def accepted(self) -> int:
        """Return the number of tweets with distinct ids."""
        return self.records - self.quarantined - self.duplicates

    @property
    def duplicates(self) -> int:
        """Return the number of tweets whose id occurs again later in the dump."""
        return len(self.superseded)

    @property
    def median_text_length(self) -> float | None:
        """Return the (upper) median length of the texts in characters, None without texts."""
        cumulative = np.cumsum(self.text_lengths)
        if not cumulative[-1]:
            return None
        return float(np.searchsorted(cumulative, cumulative[-1] // 2, side="right"))

    def tweets(self) -> Iterator[pa.RecordBatch]:
        """Yield the last tweet of each id, in batches of TWEETS."""
        for batch in read_batches(self.tweets_file):
            numbers = batch.column("row_number").to_numpy()
            first, end = np.searchsorted(self.superseded, [numbers[0], numbers[-1] + 1])
            if first == end:
                yield batch
            else:
                yield batch.filter(pa.array(~np.isin(numbers, self.superseded[first:end])))

    def invalid_records(self) -> Iterator[pa.RecordBatch]:
        """Yield the invalid records in batches of INVALID_RECORDS."""
        return read_batches(self.invalid_records_file)


def path_of(file: IO[bytes]) -> str:
    """Return a path under which Arrow can open an unnamed file."""
    return f"/proc/self/fd/{file.fileno()}"


def read_batches(file: IO[bytes]) -> Iterator[pa.RecordBatch]:
    """Yield the batches of an Arrow stream."""
    with pa.OSFile(path_of(file)) as source, pa.ipc.open_stream(source) as batches:
        yield from batches


@contextmanager
def validate_dump(
    file: IO[bytes], progress: Progress = lambda bytes_, records: None
) -> Iterator[ValidatedDump]:
    """Read a dump and validate its records.

    Until the context ends, the validated records take about the size of the dump on the local disk (TMPDIR).
    The files have no names, so they disappear if the process dies.

    Args:
        file: the dump, open for reading.
        progress: called repeatedly with the number of bytes and records read so far.
    """
    hashed = HashedFile(file)
    with TemporaryFile() as tweets, TemporaryFile() as invalid_records:
        dump = ValidatedDump(tweets, invalid_records)
        try:
            with closing(prefetch(content_blocks(hashed))) as blocks:
                _validate_lines(dump, whole_lines(blocks), hashed, progress)
        except RefusedDumpError as error:
            dump = ValidatedDump(tweets, invalid_records, refusal=str(error))
        dump.sha256 = hashed.sha256()
        dump.bytes = hashed.bytes
        yield dump


def _validate_lines(
    dump: ValidatedDump, lines: Iterator[bytes], file: HashedFile, progress: Progress
) -> None:
    beginning = next(lines, b"")
    layout = _find_header(beginning)
    id_hashes: list[npt.NDArray[np.uint64]] = []
    with (
        pa.OSFile(path_of(dump.tweets_file), "wb") as tweets_file,
        pa.OSFile(path_of(dump.invalid_records_file), "wb") as invalid_records_file,
        pa.ipc.new_stream(tweets_file, TWEETS) as tweets,
        pa.ipc.new_stream(invalid_records_file, INVALID_RECORDS) as invalid_records,
    ):
        for group in _validate_in_threads(_records_after_header(beginning, lines, layout), layout):
            dump.records += group.records
            dump.quarantined += group.invalid_records.num_rows
            dump.label_counts += group.label_counts
            dump.text_lengths += group.text_lengths
            if group.tweets.num_rows:
                tweets.write_batch(group.tweets)
                id_hashes.append(group.id_hashes)
            if group.invalid_records.num_rows:
                invalid_records.write_batch(group.invalid_records)
            progress(file.bytes, dump.records)
    if not dump.records:
        raise RefusedDumpError("the file has a header but no records")
    if id_hashes:
        dump.sorted_id_hashes = np.concatenate(id_hashes)
        dump.sorted_id_hashes.sort()
        dump.superseded = _find_superseded(dump, id_hashes)


def _find_header(beginning: bytes) -> Layout:
    """Return the layout that the first record in the first lines of a dump describes."""
    if not beginning.strip():
        raise RefusedDumpError("the file is empty")
    return read_header(close_at_line_end(find_records(beginning)).raw(0))


def _records_after_header(beginning: bytes, lines: Iterator[bytes], layout: Layout) -> Iterator[Records]:
    groups = read_records(chain([beginning], lines), partial(may_continue, layout))
    first = next(groups)
    yield first.slice(1, len(first))
    yield from groups


def _validate_in_threads(groups: Iterator[Records], layout: Layout) -> Iterator[ValidatedRecords]:
    """Validate groups of records concurrently. Yield the results in the order of the groups."""

    def numbered() -> Iterator[tuple[Records, int]]:
        first_row_number = 1
        for group in groups:
            yield group, first_row_number
            first_row_number += len(group)

    return map_in_threads(lambda group: validate_records(group[0], layout, group[1]), numbered())


def _find_superseded(dump: ValidatedDump, id_hashes: list[npt.NDArray[np.uint64]]) -> npt.NDArray[np.int64]:
    """Return the row numbers of tweets whose id occurs again later, ascending.

    Only ids whose hash occurs more than once are compared.

    Args:
        dump: the dump, whose `tweets_file` and `sorted_id_hashes` are complete.
        id_hashes: hashes of the ids of each batch in `tweets_file`.
    """
    hashes = dump.sorted_id_hashes
    repeated = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(repeated):
        return np.zeros(0, np.int64)

    def select_repeated(batch: pa.RecordBatch, hashes: npt.NDArray[np.uint64]) -> pa.RecordBatch:
        positions = np.minimum(np.searchsorted(repeated, hashes), len(repeated) - 1)
        return batch.select(["row_number", "tweet_id"]).filter(pa.array(repeated[positions] == hashes))

    batches = zip(read_batches(dump.tweets_file), id_hashes, strict=True)
    suspects = map_in_threads(lambda pair: select_repeated(*pair), batches)
    rows = pl.DataFrame(pa.Table.from_batches(suspects))
    is_superseded = ~pl.col("tweet_id").is_last_distinct()
    superseded: npt.NDArray[np.int64] = rows.filter(is_superseded)["row_number"].to_numpy()
    return superseded
