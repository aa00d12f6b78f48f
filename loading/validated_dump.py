"""Read and validate a dump in any format. Counts stay in memory, records on the local disk."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.ipc

from contracts.labels import LABELS
from loading.detection.containers import Limits
from loading.formats.dump_bytes import HashedDump, RefusedDumpError
from loading.inspection import NO_HASHES, Inspection, Opener, Recall, Totals, read_dump
from loading.mapping.apply import MAX_COUNTED_LENGTH, MappedBatch
from loading.mapping.model import GivenMapping, Question
from loading.threads import map_in_threads
from loading.validation.records import INVALID_RECORDS, TWEETS

Progress = Callable[[int, int], None]


class SpilledTotals(Totals):
    """Totals of a dump that write its records to files."""

    def __init__(
        self, tweets: IO[bytes], invalid_records: IO[bytes], progress: Callable[[int], None]
    ) -> None:
        super().__init__()
        self._progress = progress
        self._files = [pa.OSFile(path_of(file), "wb") for file in (tweets, invalid_records)]
        self._writers = [
            pa.ipc.new_stream(file, schema)
            for file, schema in zip(self._files, (TWEETS, INVALID_RECORDS), strict=True)
        ]

    def add(self, batch: MappedBatch) -> None:
        """Add a batch."""
        super().add(batch)
        for writer, records in zip(self._writers, (batch.tweets, batch.rejected), strict=True):
            if records.num_rows:
                writer.write_batch(records)
        self._progress(self.records)

    def close(self) -> None:
        """Complete the files."""
        for writer, file in zip(self._writers, self._files, strict=True):
            if not file.closed:
                writer.close()
                file.close()


@dataclass
class ValidatedDump:
    """Content of a dump.

    Attributes:
        tweets_file: an Arrow stream of all valid tweets, duplicates included.
        invalid_records_file: an Arrow stream of the invalid records.
        sha256, bytes: hash and size of the file as delivered.
        refusal: why the dump as a whole cannot be loaded, or None. A refused dump has no records.
        found: how the dump was read, and open questions; None if it was refused.
        records: number of records after the header.
        quarantined: number of invalid records.
        lines, quarantined_lines: number of lines in all records; in the invalid ones and in accepted texts
            that are suspiciously long.
        contradicting_ids: number of ids with several labels.
        label_counts: number of valid tweets per label, in the order of LABELS.
        text_lengths: `text_lengths[n]` is the number of valid tweets whose text has n characters.
        first_created_at, last_created_at: when the tweets were written.
        sorted_id_hashes: 64-bit hashes of the distinct ids, ascending.
        superseded: row numbers of tweets whose id occurs again later in the dump, ascending.
    """

    tweets_file: IO[bytes]
    invalid_records_file: IO[bytes]
    sha256: str = ""
    bytes: int = 0
    refusal: str | None = None
    found: Inspection | None = None
    records: int = 0
    quarantined: int = 0
    lines: int = 0
    quarantined_lines: int = 0
    contradicting_ids: int = 0
    label_counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LABELS), np.int64))
    text_lengths: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(MAX_COUNTED_LENGTH + 1, np.int64)
    )
    first_created_at: datetime | None = None
    last_created_at: datetime | None = None
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
    def questions(self) -> tuple[Question, ...]:
        """Return the questions that a user must answer before the dump is loaded."""
        return self.found.questions if self.found else ()

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
    opener: Opener,
    given: GivenMapping | None = None,
    limits: Limits | None = None,
    recall: Recall = lambda header: None,
    progress: Progress = lambda bytes_, records: None,
) -> Iterator[ValidatedDump]:
    """Read a dump and validate its records.

    Until the context ends, the validated records take about the size of the dump on the local disk (TMPDIR).
    The files have no names, so they disappear if the process dies.

    Args:
        opener: opens the dump at its beginning.
        given: what a user has said about the dump.
        limits: maximum sizes of the dump and of a text.
        recall: returns the mapping that a user gave earlier for a header.
        progress: called repeatedly with the number of bytes and records read so far.

    Raises:
        InputError: `given` names a column that the dump does not have.
    """
    source = HashedDump(opener)
    with TemporaryFile() as tweets, TemporaryFile() as invalid_records:
        readings: list[SpilledTotals] = []

        def start_reading() -> Totals:
            for earlier in readings:
                earlier.close()
            readings[:] = [
                SpilledTotals(tweets, invalid_records, lambda records: progress(source.bytes_read, records))
            ]
            return readings[0]

        dump = ValidatedDump(tweets, invalid_records)
        try:
            found = read_dump(source.open, given or GivenMapping(), limits, start_reading, recall)
        except RefusedDumpError as error:
            dump.refusal = str(error)
        else:
            _complete(dump, found, readings[0])
        finally:
            for reading in readings:
                reading.close()
        dump.sha256, dump.bytes = source.digest()
        yield dump


def _complete(dump: ValidatedDump, found: Inspection, totals: SpilledTotals) -> None:
    """Copy the counts of a dump that was read to its end, and find its duplicates."""
    totals.close()
    dump.found = found
    dump.records, dump.quarantined = totals.records, totals.rejected
    dump.lines = totals.lines
    dump.quarantined_lines = totals.lost_lines + totals.suspicious_lines
    dump.label_counts, dump.text_lengths = totals.label_counts, totals.text_lengths
    dump.first_created_at, dump.last_created_at = totals.first, totals.last
    hashes = np.concatenate([NO_HASHES, *totals.hashes])
    hashes.sort()
    is_last = np.append(hashes[1:] != hashes[:-1], True)[: len(hashes)]
    dump.sorted_id_hashes = hashes[is_last]
    repeated = np.unique(hashes[~is_last])
    if len(repeated):
        rows = _read_repeated(dump, repeated, totals.hashes)
        dump.superseded = rows.filter(~pl.col("tweet_id").is_last_distinct())["row_number"].to_numpy()
        labels = rows.group_by("tweet_id").agg(pl.col("label").drop_nulls().n_unique())["label"]
        dump.contradicting_ids = int((labels > 1).sum())


def _read_repeated(
    dump: ValidatedDump, repeated: npt.NDArray[np.uint64], id_hashes: list[npt.NDArray[np.uint64]]
) -> pl.DataFrame:
    """Return row number, id and label of the tweets whose id has one of the hashes.

    Args:
        dump: the dump, whose `tweets_file` is complete.
        repeated: hashes of ids that occur more than once, ascending.
        id_hashes: hashes of the ids of each batch.
    """

    def select_repeated(batch: pa.RecordBatch, hashes: npt.NDArray[np.uint64]) -> pa.RecordBatch:
        positions = np.minimum(np.searchsorted(repeated, hashes), len(repeated) - 1)
        return batch.select(["row_number", "tweet_id", "label"]).filter(
            pa.array(repeated[positions] == hashes)
        )

    written = [hashes for hashes in id_hashes if len(hashes)]
    batches = zip(read_batches(dump.tweets_file), written, strict=True)
    return pl.DataFrame(pa.Table.from_batches(map_in_threads(lambda pair: select_repeated(*pair), batches)))
