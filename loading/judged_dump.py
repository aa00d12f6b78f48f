"""A dump that has been read once: its counts and figures in memory, its records on disk until they are loaded."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.ipc

from loading.csv_records import Records, close_at_line_end, find_records, read_records
from loading.dump_bytes import HashedFile, content_blocks, whole_lines
from loading.judging import (
    BAD_RECORDS,
    LONGEST_COUNTED_TEXT,
    TWEETS,
    Judged,
    belongs_to_previous,
    judge_records,
)
from loading.record_rules import LABELS, Layout, RefusedDumpError, read_header
from loading.threads import ahead, in_threads

Progress = Callable[[int, int], None]


@dataclass
class JudgedDump:
    """What is in a dump.

    `sha256` and `bytes` are of the file as delivered. `refusal` says why the dump as a whole cannot be loaded; then it has no records.
    `superseded` are the row numbers of tweets that come again, with the same id, later in the dump. The judged records wait in two files.
    """

    tweets_file: IO[bytes]
    bad_records_file: IO[bytes]
    sha256: str = ""
    bytes: int = 0
    refusal: str | None = None
    notes: list[str] = field(default_factory=list)
    records: int = 0
    quarantined: int = 0
    label_counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LABELS), np.int64))
    text_lengths: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(LONGEST_COUNTED_TEXT + 1, np.int64)
    )
    sorted_id_hashes: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    superseded: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def accepted(self) -> int:
        """Tweets, each id once."""
        return self.records - self.quarantined - self.duplicates

    @property
    def duplicates(self) -> int:
        """Tweets that come again later in the dump."""
        return len(self.superseded)

    @property
    def median_text_length(self) -> float | None:
        """The median length of the tweets' texts in characters (of an even number of texts the upper of the middle two)."""
        until = np.cumsum(self.text_lengths)
        return float(np.searchsorted(until, until[-1] // 2, side="right")) if until[-1] else None

    def tweets(self) -> Iterator[pa.RecordBatch]:
        """The tweets, of each id the last one, in batches of TWEETS."""
        for batch in read_batches(self.tweets_file):
            numbers = batch.column("row_number").to_numpy()
            first, end = np.searchsorted(self.superseded, [numbers[0], numbers[-1] + 1])
            if first == end:
                yield batch
            else:
                yield batch.filter(pa.array(~np.isin(numbers, self.superseded[first:end])))

    def bad_records(self) -> Iterator[pa.RecordBatch]:
        """The bad records, in batches of BAD_RECORDS."""
        return read_batches(self.bad_records_file)


def path_of(file: IO[bytes]) -> str:
    """A path by which Arrow opens a file that has no name."""
    return f"/proc/self/fd/{file.fileno()}"


def read_batches(file: IO[bytes]) -> Iterator[pa.RecordBatch]:
    """The batches in an Arrow stream."""
    with pa.OSFile(path_of(file)) as source, pa.ipc.open_stream(source) as batches:
        yield from batches


@contextmanager
def judge_dump(file: IO[bytes], progress: Progress = lambda bytes_, records: None) -> Iterator[JudgedDump]:
    """Read a dump from its beginning to its end and judge its records.

    The judged records take about the size of the dump on the local disk (TMPDIR) until the context ends. Their files have no names: nothing
    is left of them when the process dies.

    Args:
        file: the dump, open for reading.
        progress: called now and then with the bytes and records read so far.
    """
    hashed = HashedFile(file)
    with TemporaryFile() as tweets, TemporaryFile() as bad_records:
        dump = JudgedDump(tweets, bad_records)
        try:
            _judge_content(dump, hashed, progress)
        except RefusedDumpError as error:
            dump = JudgedDump(tweets, bad_records, refusal=str(error))
        dump.sha256 = hashed.sha256()
        dump.bytes = hashed.bytes
        yield dump


def _judge_content(dump: JudgedDump, file: HashedFile, progress: Progress) -> None:
    with closing(ahead(content_blocks(file))) as blocks:
        _judge_lines(dump, whole_lines(blocks), file, progress)


def _judge_lines(dump: JudgedDump, lines: Iterator[bytes], file: HashedFile, progress: Progress) -> None:
    beginning = next(lines, b"")
    layout = _find_header(beginning)
    dump.notes = layout.notes
    id_hashes: list[npt.NDArray[np.uint64]] = []
    with (
        pa.OSFile(path_of(dump.tweets_file), "wb") as tweets_file,
        pa.OSFile(path_of(dump.bad_records_file), "wb") as bad_records_file,
        pa.ipc.new_stream(tweets_file, TWEETS) as tweets,
        pa.ipc.new_stream(bad_records_file, BAD_RECORDS) as bad_records,
    ):
        for judged in _judge_in_threads(_records_after_header(beginning, lines, layout), layout):
            dump.records += judged.records
            dump.quarantined += judged.bad_records.num_rows
            dump.label_counts += judged.label_counts
            dump.text_lengths += judged.text_lengths
            if judged.tweets.num_rows:
                tweets.write_batch(judged.tweets)
                id_hashes.append(judged.id_hashes)
            if judged.bad_records.num_rows:
                bad_records.write_batch(judged.bad_records)
            progress(file.bytes, dump.records)
    if not dump.records:
        raise RefusedDumpError("it has a header and no records")
    if id_hashes:
        dump.sorted_id_hashes = np.concatenate(id_hashes)
        dump.sorted_id_hashes.sort()
        dump.superseded = _superseded_rows(dump, id_hashes)


def _find_header(beginning: bytes) -> Layout:
    """The layout of the first record in a dump's first lines."""
    if not beginning.strip():
        raise RefusedDumpError("it is empty")
    return read_header(close_at_line_end(find_records(beginning)).raw(0))


def _records_after_header(beginning: bytes, lines: Iterator[bytes], layout: Layout) -> Iterator[Records]:
    def blocks() -> Iterator[bytes]:
        yield beginning
        yield from lines

    groups = read_records(blocks(), partial(belongs_to_previous, layout))
    yield next(groups).without_first()
    yield from groups


def _judge_in_threads(groups: Iterator[Records], layout: Layout) -> Iterator[Judged]:
    """Judge groups of records side by side; the results come in the order of the groups."""

    def numbered() -> Iterator[tuple[Records, int]]:
        first_row_number = 1
        for group in groups:
            yield group, first_row_number
            first_row_number += len(group)

    return in_threads(lambda group: judge_records(group[0], layout, group[1]), numbered())


def _superseded_rows(dump: JudgedDump, id_hashes: list[npt.NDArray[np.uint64]]) -> npt.NDArray[np.int64]:
    """The row numbers of tweets that come again later, ascending. Only ids whose hashes are alike are compared."""
    hashes = dump.sorted_id_hashes
    alike = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(alike):
        return np.zeros(0, np.int64)

    def suspects_of(batch: pa.RecordBatch, of_batch: npt.NDArray[np.uint64]) -> pa.RecordBatch:
        places = np.minimum(np.searchsorted(alike, of_batch), len(alike) - 1)
        return batch.select(["row_number", "tweet_id"]).filter(pa.array(alike[places] == of_batch))

    suspects = list(
        in_threads(
            lambda pair: suspects_of(*pair), zip(read_batches(dump.tweets_file), id_hashes, strict=True)
        )
    )
    rows = pl.DataFrame(pa.Table.from_batches(suspects))
    superseded: npt.NDArray[np.int64] = rows.filter(~pl.col("tweet_id").is_last_distinct())[
        "row_number"
    ].to_numpy()
    return superseded
