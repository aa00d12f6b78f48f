"""Open a dump in any format: detect container, encoding and format, and give its columns and records.

with open("dump.csv.gz", "rb") as file:
    dump = open_dump(file)
    dump.header, dump.sample
    for batch in dump.batches(["id", "text"]): ...
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import IO, Any

from loading.detection.containers import HEAD_BYTES, ZIP, Content, Limits, open_content
from loading.detection.content import identify, is_binary
from loading.detection.csv_dialect import CsvDialect, sniff
from loading.detection.encodings import TextReader
from loading.detection.preamble import count_lines_before_header, skip_lines
from loading.formats.dump_bytes import RefusedDumpError
from loading.readers.batches import RawBatch, Reader, RecordsAreJoined
from loading.readers.csv_reader import CsvReader
from loading.readers.json_reader import JsonReader, is_json
from loading.readers.row_reader import PARQUET_MAGIC, ParquetReader, WorkbookReader
from loading.threads import prefetch

SAMPLE_BYTES = 2**20
PYTHON_OBJECTS = re.compile(rb"[\s\[]*\{'")
MAX_SAMPLE_BYTES = 16 * 2**20
# Tweets of the API with all nested members as columns have about 1,500.
MAX_COLUMNS = 3000
DELIMITER_NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe"}


@dataclass
class OpenedDump:
    """A dump whose format is known.

    Attributes:
        kind: csv, jsonl, json, xlsx or parquet.
        header: names of the columns.
        sample: values of the first records by column.
        first_record: values of the first record of a format that may lack a header; the header itself where
            it is one.
        containers: containers around the content, the outermost first.
        dialect: of a CSV file.
        skipped_lines: number of lines or rows before the header.
    """

    kind: str
    reader: Reader
    containers: tuple[str, ...]
    content: Content
    text: TextReader | None = None
    dialect: CsvDialect | None = None
    header_given: bool = False
    first_record: Sequence[str] = ()
    skipped_lines: int = 0
    sample: Mapping[str, Sequence[str | None]] = field(init=False)

    def __post_init__(self) -> None:
        """Read the sample.

        Raises:
            RefusedDumpError: the dump has too many columns.
        """
        if len(self.header) > MAX_COLUMNS:
            raise RefusedDumpError(
                f"it has {len(self.header):,} columns, more than {MAX_COLUMNS:,}; "
                "write one line for each tweet"
            )
        self.sample = self.reader.sample()

    @property
    def header(self) -> list[str]:
        """Return the names of the columns."""
        return self.reader.header

    @property
    def may_lack_header(self) -> bool:
        """Return whether the header may be missing, and no user has named the columns."""
        return self.kind in ("csv", "xlsx") and not self.header_given

    def batches(self, wanted: Sequence[str], joined: RecordsAreJoined | None = None) -> Iterator[RawBatch]:
        """Yield the records with the columns `wanted`. A dump can be read once."""
        return self.reader.batches(wanted, joined)

    @property
    def format(self) -> dict[str, Any]:
        """Return the format for reports. The encoding is certain after the whole dump was read."""
        described: dict[str, Any] = {"container": list(self.containers), "format": self.kind}
        if self.text is not None:
            described["encoding"] = self.text.encoding or "utf-8"
        if self.dialect is not None:
            delimiter = self.dialect.delimiter
            described |= {
                "delimiter": DELIMITER_NAMES.get(delimiter),
                "quoting": self.dialect.quoting,
                "skip_blanks": self.dialect.skip_blanks,
                "records_quoted_whole": self.dialect.wrapped,
            }
        if self.skipped_lines:
            described["lines_before_header"] = self.skipped_lines
        return described


def open_dump(
    file: IO[bytes], header: Sequence[str] | None = None, limits: Limits | None = None
) -> OpenedDump:
    """Detect the format of a dump.

    Args:
        file: the dump as delivered, at its beginning.
        header: names of the columns of a dump without header.
        limits: maximum sizes of the dump and of a text.

    Raises:
        RefusedDumpError: the file contains no readable table or JSON objects. The message names its content.
    """
    limits = limits or Limits()
    content = open_content(file, limits)
    head = content.reader.peek(HEAD_BYTES)
    if not head:
        raise RefusedDumpError("it is empty")
    found = identify(head)
    if found:
        raise RefusedDumpError(f"it is {found}")
    if head.startswith(PARQUET_MAGIC):
        return OpenedDump(
            "parquet", ParquetReader(content.random_access_file(), limits), content.containers, content
        )
    if head.startswith(ZIP):
        workbook = WorkbookReader(content.random_access_file(), limits, header)
        return OpenedDump(
            "xlsx",
            workbook,
            content.containers,
            content,
            header_given=header is not None,
            first_record=workbook.first_record,
            skipped_lines=workbook.skipped_rows,
        )
    return _open_text(content, header)


def _open_text(content: Content, header: Sequence[str] | None) -> OpenedDump:
    text = TextReader(content.reader)
    binary = RefusedDumpError("it is a binary file of an unknown kind; CSV, JSON, xlsx and Parquet are read")
    if text.encoding is None and is_binary(content.reader.peek(HEAD_BYTES)):
        raise binary
    blocks = iter(text)
    start, whole = _read_sample(blocks, SAMPLE_BYTES)
    if is_binary(start):
        raise binary
    if not start.strip():
        raise RefusedDumpError("it is empty")
    if PYTHON_OBJECTS.match(start):
        raise RefusedDumpError("it contains Python dictionaries, not JSON; write them with json.dumps")
    if is_json(start[:HEAD_BYTES]):
        size = SAMPLE_BYTES
        while True:
            sampled = start[:size]
            reader = JsonReader(_again(start, blocks), sampled, whole=whole and size >= len(start))
            if reader.header or size >= MAX_SAMPLE_BYTES or (whole and size >= len(start)):
                break
            size *= 4
            if not whole and len(start) < size:
                more, whole = _read_sample(blocks, size - len(start))
                start += more
        kind = "jsonl" if reader.is_lines else "json"
        if not reader.header:
            raise RefusedDumpError(
                f"it is JSON without tweets; it begins with {start[:80].decode('utf-8', 'replace')!r}"
            )
        return OpenedDump(kind, reader, content.containers, content, text)
    beginning = start[:SAMPLE_BYTES].decode("utf-8", "replace")
    skipped = count_lines_before_header(beginning, has_header=header is None)
    start = skip_lines(start, skipped)
    decoded = start[: 2 * SAMPLE_BYTES].decode("utf-8", "replace")
    sampled_whole = whole and len(start) <= 2 * SAMPLE_BYTES
    dialect = sniff(decoded, whole=sampled_whole)
    sample = (
        decoded if sampled_whole else decoded[: max(decoded.rfind("\n"), decoded.rfind("\r")) + 1] or decoded
    )
    table = CsvReader(_again(start, blocks), sample, dialect, header)
    return OpenedDump(
        "csv",
        table,
        content.containers,
        content,
        text,
        dialect,
        header is not None,
        table.first_record,
        skipped,
    )


def _read_sample(blocks: Iterator[bytes], size: int) -> tuple[bytes, bool]:
    """Return at least `size` bytes from the blocks, and whether they are all."""
    parts: list[bytes] = []
    while sum(map(len, parts)) < size:
        block = next(blocks, None)
        if block is None:
            return b"".join(parts), True
        parts.append(block)
    return b"".join(parts), False


def _again(start: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    if start:
        yield start
    with closing(prefetch(blocks)) as rest:
        yield from rest
