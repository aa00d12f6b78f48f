"""Settling deliveries: which rows a dump gives to which table, in which order."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from loading import tables as delta
from loading.files import Delivery, DumpFiles
from loading.judged_dump import JudgedDump, Progress, judge_dump
from loading.quality import LABEL_COLUMNS, Thresholds, find_breaches, label_distance
from loading.tables import HELD, LOADED, REFUSED, RETRACTED, Tables

Row = dict[str, Any]


@dataclass(frozen=True)
class Loader:
    """Loads dumps.

    Args:
        tables: where to.
        files: where from.
        run_id: the run that asks, for the table `dumps`.
        thresholds: of the data-quality gate; None lets everything pass.
        progress: makes, of a dump's source and bytes, a function that is told how far it has been read.
    """

    tables: Tables
    files: DumpFiles
    run_id: str
    thresholds: Thresholds | None
    progress: Callable[[str, int], Progress]

    def settle(self, delivery: Delivery) -> Row:
        """Load, hold or refuse a delivered dump and keep its file; returns its row in `dumps`."""
        with self.judge(delivery.path, delivery.source) as dump:
            settled = delta.read_dumps(self.tables)
            row = settled.get(dump.sha256)
            if row is None or row["state"] == RETRACTED:
                row = self.record(dump, delivery, settled)
        self.files.keep(delivery.path, row["dump_sha256"])
        return row

    @contextmanager
    def judge(self, path: str, source: str) -> Iterator[JudgedDump]:
        """Read a dump; its judged records are on disk until the context ends."""
        with (
            self.files.open(path) as file,
            judge_dump(file, self.progress(source, self.files.size_bytes(path))) as dump,
        ):
            yield dump

    def record(
        self, dump: JudgedDump, delivery: Delivery, settled: Mapping[str, Row], reason: str | None = None
    ) -> Row:
        """Put the records of a dump where they belong and write its row in `dumps`; returns the row.

        Args:
            dump: the dump.
            delivery: where it came from, and when.
            settled: the rows of `dumps`.
            reason: why a person lets it pass.
        """
        row = self.describe(dump, delivery, settled)
        if dump.refusal is not None:
            return self.write_row(row | {"state": REFUSED, "reason": dump.refusal})
        breaches = find_breaches(row, self.thresholds) if self.thresholds else []
        # Side by side: a commit in HDFS is half a second of waiting.
        with ThreadPoolExecutor(1) as thread:
            prepared: list[Future[Any]] = [
                thread.submit(self.append_bad_records, dump),
                thread.submit(delta.create_dumps, self.tables),
            ]
            appended = not breaches and self.append_tweets(dump, delivery)
            for done in prepared:
                done.result()
        if breaches:
            return self.write_row(row | {"state": HELD, "reason": "; ".join(breaches)})
        if not appended:
            # An earlier try, or another loader, has appended it: the log says when it was delivered.
            row["delivered_at"] = delta.delivery_time(self.tables, dump.sha256) or delivery.delivered_at
        known = delta.count_known(self.tables, dump.sorted_id_hashes, row["delivered_at"], dump.sha256)
        return self.write_row(row | {"state": LOADED, "reason": reason, "known": known})

    def append_bad_records(self, dump: JudgedDump) -> None:
        """Append the dump's bad records to the quarantine, unless they are there."""
        delta.create_quarantine(self.tables)
        if dump.quarantined:
            delta.append_dump(DeltaTable(self.tables.quarantine), dump.sha256, quarantine_rows(dump))

    def append_tweets(self, dump: JudgedDump, delivery: Delivery) -> bool:
        """Append the dump's tweets to the log, unless they are there; returns whether this call did it."""
        delta.create_tweets_raw(self.tables)
        return delta.append_dump(
            DeltaTable(self.tables.tweets_raw), dump.sha256, log_rows(dump, delivery.delivered_at)
        )

    def describe(self, dump: JudgedDump, delivery: Delivery, settled: Mapping[str, Row]) -> Row:
        """The row of a dump in `dumps`, but for its state and reason."""
        before = [
            row
            for row in settled.values()
            if row["state"] == LOADED
            and (row["delivered_at"], row["dump_sha256"]) < (delivery.delivered_at, dump.sha256)
        ]
        return {
            "dump_sha256": dump.sha256,
            "source": delivery.source,
            "delivered_at": delivery.delivered_at,
            "bytes": dump.bytes,
            "records": dump.records,
            "accepted": dump.accepted,
            "known": 0,
            "duplicates": dump.duplicates,
            "quarantined": dump.quarantined,
            **dict(zip(LABEL_COLUMNS, dump.label_counts.tolist(), strict=True)),
            "median_text_length": dump.median_text_length,
            "label_distance": label_distance(dump.label_counts, before),
            "run_id": self.run_id,
        }

    def write_row(self, row: Row) -> Row:
        """Write a row of `dumps` unless somebody else has settled the dump meanwhile; returns the row that stands."""
        return delta.record_dump(self.tables, row, replaces=(HELD, RETRACTED))


def log_rows(dump: JudgedDump, delivered_at: datetime) -> Iterator[pa.RecordBatch]:
    """The rows of a dump for `tweets_raw`."""
    ingested_at = datetime.now(UTC)
    for batch in dump.tweets():
        times = [
            pa.repeat(pa.scalar(moment, delta.TIMESTAMP), batch.num_rows)
            for moment in (delivered_at, ingested_at)
        ]
        yield pa.RecordBatch.from_arrays(
            [*batch.columns[1:], hash_column(dump, batch), *times], delta.TWEETS_RAW.names
        )


def quarantine_rows(dump: JudgedDump) -> Iterator[pa.RecordBatch]:
    """The rows of a dump for `quarantine`."""
    for batch in dump.bad_records():
        yield pa.RecordBatch.from_arrays([hash_column(dump, batch), *batch.columns], delta.QUARANTINE.names)


def hash_column(dump: JudgedDump, batch: pa.RecordBatch) -> pa.DictionaryArray:
    """The dump's hash for each row of a batch. Written out it would take more memory than most texts."""
    return pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int8()), batch.num_rows), pa.array([dump.sha256])
    )
