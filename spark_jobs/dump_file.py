"""A dump where it lies: its identity, its header, and its judged records as a DataFrame."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from pyspark import TaskContext
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import BinaryType, BooleanType, IntegerType, StructField, StructType

from spark_jobs.block_seams import Exit, Seam, block_exits, compose_seams, skip_bytes
from spark_jobs.csv_records import BYTE_ORDER_MARK, close_at_line_end, find_records
from spark_jobs.gzip_blocks import GZIP_MAGIC, inflate, inflate_beginning, whole_lines
from spark_jobs.packed_ids import PACKED, pack
from spark_jobs.parse_dump import ARROW_SCHEMA, PARSED, continues_previous, parse_blocks
from spark_jobs.record_rules import Layout, RefusedDumpError, read_header

SHA256_NAME = re.compile(r"(?:^|/)([0-9a-f]{64})\.csv\Z")
HEADER_BYTES = 65_536
# A task reads this much of the dump. Larger blocks have fewer seams, smaller ones share the work better.
BLOCK_BYTES = 32 * 2**20
# Spark hands the whole of a compressed file to one task as one value, which cannot be larger.
LARGEST_GZIP_BYTES = 2**31 - 1
# How far into a block to look for the first record that certainly begins there.
FIRST_LINES = 5_000
# position = block number << POSITION_BITS | number of the record in its block: ordered as the file is.
POSITION_BITS = 40
# The position of a row whose reason is why the dump as a whole is refused.
REFUSED = -1

# From the bytes of a block, as Spark hands them to a task, to batches of judged records.
Judge = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class DumpFile:
    """A dump at `uri`, named by the SHA-256 of its bytes."""

    uri: str
    sha256: str
    bytes: int
    layout: Layout
    gzipped: bool


def dump_sha256(uri: str) -> str:
    """The SHA-256 that the file's name states."""
    match = SHA256_NAME.search(uri)
    if not match:
        raise RefusedDumpError("its name must be the SHA-256 of its bytes in lower-case hexadecimal, then .csv")
    return match[1]


def open_dump(spark: SparkSession, uri: str) -> DumpFile:
    """Look at the first bytes of the dump. Raises RefusedDumpError where no record of it can be read."""
    sha256 = dump_sha256(uri)
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(uri)
    files = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    if not files.exists(path):
        raise RefusedDumpError("there is no such file")
    size = files.getFileStatus(path).getLen()
    stream = files.open(path)
    try:
        beginning = bytes(stream.readNBytes(HEADER_BYTES))
    finally:
        stream.close()
    gzipped = beginning.startswith(GZIP_MAGIC)
    if gzipped and size > LARGEST_GZIP_BYTES:
        raise RefusedDumpError("it is compressed and larger than 2 GiB: decompress it first")
    if gzipped:
        beginning = inflate_beginning(beginning, HEADER_BYTES)
    return DumpFile(uri, sha256, size, _find_header(beginning), gzipped)


def _find_header(beginning: bytes) -> Layout:
    """The layout of the first record in a dump's first bytes."""
    beginning = beginning.removeprefix(BYTE_ORDER_MARK)
    if not beginning.strip():
        raise RefusedDumpError("it is empty")
    found = close_at_line_end(find_records(beginning + b"\n"))
    return read_header(found.raw(0))


@dataclass(frozen=True)
class JudgedRecords:
    """The records of a dump, each found to be a tweet or not; read anew from the dump whenever they are asked for, always in the same way."""

    blocks: DataFrame
    judge: Judge

    def tweets(self) -> DataFrame:
        """The good ones: position, tweet_id, safe_text, label, agreement."""
        judge = self.judge
        rows = self.blocks.mapInArrow(lambda batches: judge(batches), PARSED).where(F.col("reason").isNull())
        return rows.drop("raw_record", "reason", "other_position")

    def packed(self, buckets: int) -> DataFrame:
        """The bad ones, and of the good ones their ids: see packed_ids."""
        judge = self.judge
        return self.blocks.mapInArrow(lambda batches: pack(judge(batches), buckets), PACKED)


def judge_records(spark: SparkSession, dump: DumpFile) -> JudgedRecords:
    """Judge the records of `dump`, in as many partitions as it has blocks."""
    if dump.gzipped:
        return _read_gzip(spark, dump)
    lines = _read_lines(spark, dump.uri, BLOCK_BYTES)
    seams = {0: Seam(0, b"", may_end_open=True)} if lines.rdd.getNumPartitions() == 1 else find_seams(lines, dump.layout)
    if seams is None:
        # A record longer than FIRST_LINES, or a block without any certain beginning: one task reads the file from end to end.
        lines = _read_lines(spark, dump.uri, dump.bytes + 1)
        seams = {0: Seam(0, b"", may_end_open=True)}
    return _judge_blocks(lines, dump.layout, seams)


def _read_lines(spark: SparkSession, uri: str, block_bytes: int) -> DataFrame:
    """The lines of the file without their line feeds, as `value`, in partitions of at most `block_bytes` in the order of the file."""
    spark.conf.set("spark.sql.files.maxPartitionBytes", str(block_bytes))
    # The file is read more than once: its partitions must not follow the number of cores that have come to the cluster by then.
    spark.conf.set("spark.sql.files.minPartitionNum", "1")
    return spark.read.text(uri, lineSep="\n")


def _line() -> Column:
    """The whole line as it stands in the file: a string column holds any bytes, and as binary they come to Python unchanged."""
    return F.concat(F.col("value"), F.lit("\n")).cast("binary").alias("line")


def find_seams(lines: DataFrame, layout: Layout) -> dict[int, Seam] | None:
    """For each partition what it must know of its neighbours; None where that cannot be said from the first lines of each.

    Each block is run through from both states it can be entered in; then the file's states follow from the first block to the last.
    """
    line_number = F.monotonically_increasing_id().bitwiseAND(F.lit(2**33 - 1))
    looked_at = lines.select("value", (line_number < FIRST_LINES).alias("is_first")).where(F.col("is_first") | F.col("value").contains('"'))

    def exits(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        first, quoted = [], []
        for batch in batches:
            count = pa.compute.sum(batch.column("is_first")).as_py() or 0
            first.append(_joined(batch.column("line").slice(0, count)))
            quoted.append(_joined(batch.column("line").slice(count)))
        outside, inside = block_exits(b"".join(first), b"".join(quoted), lambda record: continues_previous(layout, record))
        if any(first):
            exit_ = [_partition_id(), outside.open, outside.lead, inside.open, inside.lead, inside.through]
            yield pa.RecordBatch.from_pylist([dict(zip(ARROW_EXITS.names, exit_, strict=True))], schema=ARROW_EXITS)

    rows = sorted(looked_at.select(_line(), "is_first").mapInArrow(exits, EXITS).collect())
    if not rows:
        return {}
    return compose_seams([row.block for row in rows], [(Exit(row[1], row[2]), Exit(row[3], row[4], row[5])) for row in rows])


EXITS = StructType(
    [
        StructField("block", IntegerType()),
        StructField("open", BooleanType()),
        StructField("lead", BinaryType()),
        StructField("open_if_inside", BooleanType()),
        StructField("lead_if_inside", BinaryType()),
        StructField("through_if_inside", BooleanType()),
    ]
)
ARROW_EXITS = to_arrow_schema(EXITS)


def _judge_blocks(lines: DataFrame, layout: Layout, seams: dict[int, Seam]) -> JudgedRecords:
    def judge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        block = _partition_id()
        if block in seams:
            seam = seams[block]
            pieces = chain(skip_bytes((_joined(batch.column("line")) for batch in batches), seam.skip), [seam.suffix])
            yield from _placed(parse_blocks(pieces, layout, has_header=block == min(seams), may_end_open=seam.may_end_open), block)

    return JudgedRecords(lines.select(_line()), judge)


def _read_gzip(spark: SparkSession, dump: DumpFile) -> JudgedRecords:
    """The judged records of a compressed dump, by one task: gzip can be read from its beginning only."""
    layout = dump.layout

    def judge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for compressed in batch.column("content"):
                try:
                    yield from parse_blocks(whole_lines(inflate(compressed.as_py())), layout, has_header=True)
                except RefusedDumpError as error:
                    # A row that says so: an exception would reach the operator inside pages of Spark's own.
                    yield pa.RecordBatch.from_pylist([{"position": REFUSED, "reason": str(error)}], schema=ARROW_SCHEMA)

    return JudgedRecords(spark.read.format("binaryFile").load(dump.uri).select("content"), judge)


def _joined(lines: pa.BinaryArray) -> bytes:
    """The bytes of all `lines`: they lie one after the other in one buffer."""
    if not len(lines):
        return b""
    offsets = np.frombuffer(lines.buffers()[1], dtype=np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return memoryview(lines.buffers()[2])[offsets[0] : offsets[-1]].tobytes()


def _partition_id() -> int:
    context = TaskContext.get()
    assert context is not None, "only tasks ask for their partition"
    return context.partitionId()


def _placed(batches: Iterable[pa.RecordBatch], block: int) -> Iterator[pa.RecordBatch]:
    """`batches` with their positions counted from the beginning of `block` in the dump."""
    for batch in batches:
        shift = pa.scalar(block << POSITION_BITS, pa.int64())
        for name in ("position", "other_position"):
            i = batch.schema.get_field_index(name)
            batch = batch.set_column(i, name, pa.compute.add(batch.column(i), shift))
        yield batch


def row_numbers(first_of_block: dict[int, int], position: Column) -> Column:
    """The number of the record at `position`, counted from 1; `first_of_block` has the number of the first record of each block."""
    firsts = F.array(*(F.lit(first_of_block.get(block, 0)).cast("long") for block in range(max(first_of_block) + 1)))
    block = F.shiftright(position, POSITION_BITS).cast("int")
    return F.element_at(firsts, block + 1) + position.bitwiseAND(F.lit(2**POSITION_BITS - 1))
