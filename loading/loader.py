"""Process a delivery: which rows of a dump go to which table, in which order."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from contracts.labels import CLASS_NAMES
from contracts.tables import DUMPS, HELD, LOADED, QUARANTINE, REFUSED, RETRACTED, TWEETS_RAW
from loading.files import Delivery, DumpFiles
from loading.tables import commits, dumps
from loading.tables.dumps import Row
from loading.tables.queries import count_seen_before, read_delivery_time
from loading.tables.schemas import TIMESTAMP, Tables, create_table
from loading.validation.dump import Progress, ValidatedDump, validate_dump
from loading.validation.quality_gate import Thresholds, find_breaches, label_distance


@dataclass(frozen=True)
class Loader:
    """Loads dumps.

    Attributes:
        tables: the tables to write.
        files: the files to read.
        run_id: Airflow's run, for the table `dumps`.
        thresholds: limits of the data-quality gate. None disables the gate.
        progress: takes a dump's source and size in bytes. Returns a function that reports how much is read.
    """

    tables: Tables
    files: DumpFiles
    run_id: str
    thresholds: Thresholds | None
    progress: Callable[[str, int], Progress]

    def process(self, delivery: Delivery) -> Row:
        """Load, hold or refuse a delivered dump, then move its file to `raw`. Return its row in `dumps`.

        Nothing is written if `dumps` has the same content in any state but retracted.
        """
        with self.validate(delivery.path, delivery.source) as dump:
            rows = dumps.read_dumps(self.tables)
            row = rows.get(dump.sha256)
            if row is None or row["state"] == RETRACTED:
                row = self.store(dump, delivery, rows)
        self.files.move_to_raw(delivery.path, row["dump_sha256"])
        return row

    @contextmanager
    def validate(self, path: str, source: str) -> Iterator[ValidatedDump]:
        """Read and validate a dump. Its records are on the local disk until the context ends."""
        with (
            self.files.open(path) as file,
            validate_dump(file, self.progress(source, self.files.size_bytes(path))) as dump,
        ):
            yield dump

    def store(
        self, dump: ValidatedDump, delivery: Delivery, rows: Mapping[str, Row], reason: str | None = None
    ) -> Row:
        """Write the records of a dump, then its row in `dumps`. Return the row.

        Args:
            dump: the dump.
            delivery: its source and time.
            rows: the rows of `dumps`.
            reason: why it is loaded, if a person has approved it.
        """
        row = self.build_row(dump, delivery, rows)
        if dump.refusal is not None:
            return self.write_row(row | {"state": REFUSED, "reason": dump.refusal})
        breaches = find_breaches(row, self.thresholds) if self.thresholds else []
        # Concurrently, because a commit in HDFS takes half a second of waiting.
        with ThreadPoolExecutor(1) as thread:
            prepared: list[Future[Any]] = [
                thread.submit(self.append_to_quarantine, dump),
                thread.submit(create_table, self.tables.dumps, DUMPS),
            ]
            appended = not breaches and self.append_tweets(dump, delivery)
            for done in prepared:
                done.result()
        if breaches:
            return self.write_row(row | {"state": HELD, "reason": "; ".join(breaches)})
        if not appended:
            # An earlier try or another loader has appended it. The log has the delivery time that it used.
            row["delivered_at"] = read_delivery_time(self.tables, dump.sha256) or delivery.delivered_at
        known = count_seen_before(self.tables, dump.sorted_id_hashes, row["delivered_at"], dump.sha256)
        return self.write_row(row | {"state": LOADED, "reason": reason, "known": known})

    def append_to_quarantine(self, dump: ValidatedDump) -> None:
        """Append the dump's invalid records to `quarantine` unless it contains them."""
        create_table(self.tables.quarantine, QUARANTINE)
        if dump.quarantined:
            table = DeltaTable(self.tables.quarantine)
            commits.append_dump(table, dump.sha256, quarantine_rows(dump))

    def append_tweets(self, dump: ValidatedDump, delivery: Delivery) -> bool:
        """Append the dump's tweets to `tweets_raw` unless it contains them. Return whether this call did."""
        create_table(self.tables.tweets_raw, TWEETS_RAW)
        table = DeltaTable(self.tables.tweets_raw)
        return commits.append_dump(table, dump.sha256, log_rows(dump, delivery.delivered_at))

    def build_row(self, dump: ValidatedDump, delivery: Delivery, rows: Mapping[str, Row]) -> Row:
        """Return the row of a dump in `dumps` without state and reason. `rows` are the rows of `dumps`."""
        earlier = [
            row
            for row in rows.values()
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
            **dict(zip(CLASS_NAMES, dump.label_counts.tolist(), strict=True)),
            "median_text_length": dump.median_text_length,
            "label_distance": label_distance(dump.label_counts, earlier),
            "run_id": self.run_id,
        }

    def write_row(self, row: Row) -> Row:
        """Write a row of `dumps` unless another process has written a final state. Return the current row."""
        return dumps.upsert_dump(self.tables, row, replaces=(HELD, RETRACTED))


def log_rows(dump: ValidatedDump, delivered_at: datetime) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a dump for `tweets_raw`."""
    ingested_at = datetime.now(UTC)
    for batch in dump.tweets():
        times = [
            pa.repeat(pa.scalar(moment, TIMESTAMP), batch.num_rows) for moment in (delivered_at, ingested_at)
        ]
        columns = [*batch.columns[1:], hash_column(dump, batch), *times]
        yield pa.RecordBatch.from_arrays(columns, TWEETS_RAW.column_names())


def quarantine_rows(dump: ValidatedDump) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a dump for `quarantine`."""
    for batch in dump.invalid_records():
        columns = [hash_column(dump, batch), *batch.columns]
        yield pa.RecordBatch.from_arrays(columns, QUARANTINE.column_names())


def hash_column(dump: ValidatedDump, batch: pa.RecordBatch) -> pa.DictionaryArray:
    """Return the dump's hash for each row of a batch. Dictionary-encoded, it takes little memory."""
    return pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int8()), batch.num_rows), pa.array([dump.sha256])
    )
