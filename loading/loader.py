"""Process a delivery: which rows of a dump go to which table, in which order."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from contracts.labels import CLASS_NAMES
from contracts.tables import DUMPS, FAILED, HELD, LOADED, QUARANTINE, REFUSED, TWEETS_RAW
from loading.description import describe_reading, describe_reasons, join_questions
from loading.detection.containers import Limits
from loading.files import Delivery, DumpFiles
from loading.formats.dump_bytes import HashedDump
from loading.mapping.model import GivenMapping
from loading.tables import commits, dumps
from loading.tables.dumps import DumpRows, Row, date_delivery
from loading.tables.erasures import count_erased, is_erased_dump
from loading.tables.logged_ids import LoggedIds
from loading.tables.mappings import recall_mapping, remember_mapping
from loading.tables.queries import compare_with_earlier, read_delivery_time
from loading.tables.schemas import TIMESTAMP, Tables, create_table
from loading.validated_dump import Progress, ValidatedDump, validate_dump
from loading.validation.quality_gate import Thresholds, find_breaches, label_distance


@dataclass(frozen=True)
class Answer:
    """What a user has said about the columns of a delivery.

    Attributes:
        source: source of the delivery.
        mapping: the mapping.
        user: who gave it.
    """

    source: str
    mapping: GivenMapping
    user: str


@dataclass(frozen=True)
class Loader:
    """Loads dumps.

    Attributes:
        tables: the tables to write.
        files: the files to read.
        run_id: Airflow's run, for the table `dumps`.
        thresholds: limits of the data-quality gate. None disables the gate.
        progress: takes a dump's source and size in bytes. Returns a function that reports how much is read.
        limits: maximum sizes of the dump and of a text.
        answer: a mapping that the user of this run gave. It applies to the delivery with its source.
        reopens: a content in one of these states is processed again. By default these are the outcomes that
            may change. The decisions of users (rejected, retracted) stay until a user reopens the dump.
        dump_rows: cached rows of the table `dumps`, shared by all dumps of a batch.
        logged_ids: cached hashes of the ids in `tweets_raw`, shared by all dumps of a batch.
    """

    tables: Tables
    files: DumpFiles
    run_id: str
    thresholds: Thresholds | None
    progress: Callable[[str, int], Progress]
    limits: Limits | None = None
    answer: Answer | None = None
    reopens: tuple[str, ...] = (REFUSED, FAILED)
    dump_rows: DumpRows = field(default_factory=DumpRows, compare=False)
    logged_ids: LoggedIds = field(default_factory=LoggedIds, compare=False)

    def process(self, delivery: Delivery, reason: str | None = None) -> Row:
        """Load, hold or refuse a delivered dump, then move its file to `raw`. Return its row in `dumps`.

        Nothing is written if `dumps` has the same content in a state that is not in `reopens`. A mapping that
        the user of this run gave also reopens a held dump. A dump that is loaded, but that `tweets_raw` does
        not contain after it was restored, is loaded again without the gate. A content keeps the time of its
        first delivery.

        Args:
            delivery: the delivery.
            reason: why it is loaded, if a user has reopened it.

        Raises:
            InputError: the mapping names a column that the dump does not have.
        """
        with self.validate(delivery.path, delivery.source) as dump:
            rows = self.dump_rows.read(self.tables)
            row = rows.get(dump.sha256)
            dated = date_delivery(delivery, row, datetime.now(UTC))
            reopens = (HELD, *self.reopens) if self._applies(delivery.source) else self.reopens
            is_final = row is not None and row["state"] not in reopens
            is_erased = is_final and is_erased_dump(self.tables.erasures, dump.sha256)
            if row is None or not is_final:
                row = self.store(dump, dated, rows, reason)
            elif row["state"] == LOADED and not is_erased and not self.is_logged(dump.sha256):
                row = replace(self, thresholds=None).store(dump, dated, rows, row["reason"])
        self.put_away(delivery.path, row["dump_sha256"], is_erased=is_erased)
        return row

    def fail(self, delivery: Delivery, reason: str) -> Row:
        """Record that a delivery cannot be loaded, and move its file to `raw`. Return its row in `dumps`.

        Only the row of a content in one of the states `reopens` changes.
        """
        try:
            sha256, size = HashedDump(lambda: self.files.open(delivery.path)).digest()
        except OSError:
            name = PurePosixPath(delivery.path).name
            sha256, size = hashlib.sha256(name.encode()).hexdigest(), self.files.size_bytes(delivery.path)
        dated = date_delivery(delivery, self.dump_rows.read(self.tables).get(sha256), datetime.now(UTC))
        row = dumps.failed_row(sha256, dated, size, reason, self.run_id)
        row = dumps.upsert_dump(self.tables, row, replaces=self.reopens)
        is_erased = is_erased_dump(self.tables.erasures, sha256)
        self.put_away(delivery.path, sha256, is_erased=is_erased)
        return row

    def put_away(self, path: str, sha256: str, *, is_erased: bool) -> None:
        """Move a file to `raw`. Delete it if `raw` has the content without erased tweets, or not at all."""
        if is_erased:
            self.files.delete(path)
        else:
            self.files.move_to_raw(path, sha256)

    def _applies(self, source: str) -> bool:
        return self.answer is not None and self.answer.source == source

    def validate(self, path: str, source: str) -> AbstractContextManager[ValidatedDump]:
        """Read and validate a dump. Its records are on the local disk until the context ends."""
        given = self.answer.mapping if self.answer and self._applies(source) else None
        progress = self.progress(source, self.files.size_bytes(path))
        return validate_dump(lambda: self.files.open(path), given, self.limits, self.recall, progress)

    def recall(self, header: Sequence[str]) -> GivenMapping | None:
        """Return the mapping that a user gave earlier for a header."""
        parts = recall_mapping(self.tables.mappings, header)
        return None if parts is None else GivenMapping(parts)

    def store(
        self, dump: ValidatedDump, delivery: Delivery, rows: Mapping[str, Row], reason: str | None = None
    ) -> Row:
        """Write the records of a dump, then its row in `dumps`. Return the row.

        Args:
            dump: the dump.
            delivery: its source and time.
            rows: the rows of `dumps`.
            reason: why it is loaded, if a user has approved or reopened it.
        """
        row = self.build_row(dump, delivery, rows)
        if dump.refusal is not None:
            return self.write_row(row | {"state": REFUSED, "reason": dump.refusal})
        state, problem = self.check(dump, row)
        if state != HELD or not dump.questions:
            self.remember(dump, delivery.source)
        # Concurrently, because a commit in HDFS takes half a second of waiting.
        with ThreadPoolExecutor(1) as thread:
            prepared: list[Future[Any]] = [
                thread.submit(self.append_to_quarantine, dump, rows.get(dump.sha256), row),
                thread.submit(create_table, self.tables.dumps, DUMPS),
            ]
            appended = state == LOADED and self.append_tweets(dump, delivery)
            for done in prepared:
                done.result()
        if state != LOADED:
            return self.write_row(row | {"state": state, "reason": problem})
        if not appended:
            row |= self.compare(dump, delivery)  # another loader has appended it meanwhile
        replaced = (LOADED,) if appended else ()
        return self.write_row(row | {"state": LOADED, "reason": reason}, *replaced)

    def check(self, dump: ValidatedDump, row: Row) -> tuple[str, str | None]:
        """Return the state of a dump that was read, and the reason unless it is loaded."""
        if dump.questions:
            return HELD, join_questions(dump.questions)
        if not dump.accepted and dump.found:
            reasons = describe_reasons(dump.found.totals)
            return REFUSED, f"none of the {dump.records:,} records is a tweet: {reasons}"
        if self.thresholds is None:  # a person has approved it
            return LOADED, None
        breaches = find_breaches(row, dump.lines, self.thresholds)
        if erased := count_erased(self.tables.erasures, dump.tweets()):
            breaches.append(
                f"{erased:,} of its tweets were erased on request: reject it, and *Trigger* erase_tweets "
                "with its SHA-256. To approve it loads these tweets again"
            )
        return (HELD, "; ".join(breaches)) if breaches else (LOADED, None)

    def remember(self, dump: ValidatedDump, source: str) -> None:
        """Store the mapping of the user of this run for later dumps with the same header, if there is one."""
        if self.answer and self._applies(source) and dump.found and not dump.found.dump.header_given:
            header = dump.found.dump.header
            mapping = self.answer.mapping.merged(self.recall(header))
            remember_mapping(self.tables.mappings, header, mapping.parts, self.answer.user)

    def append_to_quarantine(self, dump: ValidatedDump, before: Row | None, row: Row) -> None:
        """Append the dump's invalid records to `quarantine` unless it contains them.

        Args:
            dump: the dump.
            before: its current row in `dumps`. Invalid records that another reading gave are removed.
            row: its new row.
        """
        create_table(self.tables.quarantine, QUARANTINE)
        figures = ("mapping", "quarantined", "accepted")
        if before and (before["state"] != LOADED or any(before.get(name) != row[name] for name in figures)):
            commits.remove_dump(self.tables.quarantine, dump.sha256)
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
            **self.compare(dump, delivery),
            "bytes": dump.bytes,
            "records": dump.records,
            "accepted": dump.accepted,
            "duplicates": dump.duplicates,
            "quarantined": dump.quarantined,
            **dict(zip(CLASS_NAMES, dump.label_counts.tolist(), strict=True)),
            "median_text_length": dump.median_text_length,
            "label_distance": label_distance(dump.label_counts, earlier),
            "quarantined_lines": dump.quarantined_lines,
            "contradicting_ids": dump.contradicting_ids,
            "first_created_at": dump.first_created_at,
            "last_created_at": dump.last_created_at,
            **describe_reading(dump, delivery.note),
            "run_id": self.run_id,
        }

    def compare(self, dump: ValidatedDump, delivery: Delivery) -> Row:
        """Return the delivery time, and how many ids and other texts of them earlier deliveries contain.

        If an earlier try or another loader has appended the dump, the log has the delivery time that it used.
        """
        delivered_at = delivery.delivered_at
        if self.is_logged(dump.sha256):
            delivered_at = read_delivery_time(self.tables, dump.sha256) or delivered_at
        known, changed, ids = 0, 0, dump.sorted_id_hashes
        if self.logged_ids.may_contain(self.tables.tweets_raw, ids):
            known, changed = compare_with_earlier(self.tables, ids, dump.tweets, delivered_at, dump.sha256)
        return {"delivered_at": delivered_at, "known": known, "changed_texts": changed}

    def is_logged(self, sha256: str) -> bool:
        """Return whether `tweets_raw` contains a dump."""
        uri = self.tables.tweets_raw
        return DeltaTable.is_deltatable(uri) and commits.contains_dump(DeltaTable(uri), sha256)

    def write_row(self, row: Row, *replaced: str) -> Row:
        """Write a row of `dumps` unless another process has written a final state. Return the current row.

        `replaced` are further states that the row may replace.
        """
        return dumps.upsert_dump(self.tables, row, replaces=(HELD, *self.reopens, *replaced))


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
