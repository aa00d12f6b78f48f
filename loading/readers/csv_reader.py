"""CSV in any dialect: rare dialects are rewritten, others are translated byte by byte.

`find_records` and Arrow's parser know one grammar: commas and doubled quotes. A delimiter is exchanged with
the comma, an escaped quote becomes a two-byte character that does not occur in text; both translations
preserve positions and are reversed in the columns and in raw records. pyarrow.csv splits the fields: it is in
the lock and is the fastest.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loading.detection.csv_dialect import CsvDialect, split_record, swallowed_lines, tokenize, unwrap
from loading.formats.csv_records import CR, LF, Records, read_records, split_fields
from loading.formats.dump_bytes import RefusedDumpError, whole_lines
from loading.readers.batches import Positions, RawBatch, RecordsAreJoined, are_in
from loading.readers.csv_columns import records_not_in_utf8, split_columns
from loading.readers.csv_rewriting import rewrite_dialect, rewrite_wrapped
from loading.threads import map_in_threads
from loading.validation.records import MALFORMED_QUOTES, NOT_UTF8, UNCLOSED_QUOTE, decode

# Unassigned in Unicode, two bytes in UTF-8 like the escapes that they replace. A dump that contains one is
# refused.
ESCAPED_QUOTE, ESCAPED_BACKSLASH = "\u07fb".encode(), "\u07fc".encode()
# Replaces quotes of dialects without quoting where records are searched.
NO_QUOTE = b"\x01"
SAMPLE_RECORDS = 2000
# A line within a field of a translated record that begins with an id and a delimiter.
LINE_LIKE_RECORD = re.compile(rb'[\r\n](?:\s|\xc2\xa0)*"*[A-Za-z_-]*[0-9][0-9A-Za-z_-]*"*(?:\s|\xc2\xa0)*,')
# The beginning of such a line, and the bytes before its comma.
MIN_LINE_START = 16
LINE_START_BYTES = np.isin(
    np.arange(256),
    list(b'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-" \t\r\n\f\v\xc2\xa0'),
)


class CsvReader:
    """Records of a CSV file.

    Args:
        blocks: the file as UTF-8.
        sample: the beginning of the file, which `blocks` contain too.
        dialect: how fields are written.
        header: names of the columns of a file without header; None if the first record is the header.
    """

    def __init__(
        self, blocks: Iterator[bytes], sample: str, dialect: CsvDialect, header: Sequence[str] | None
    ) -> None:
        self._blocks, self._dialect = blocks, dialect
        self._has_header = header is None
        self._header_bytes = b""
        text = unwrap(sample) if dialect.wrapped else sample
        tokens = [token for _, token in zip(range(SAMPLE_RECORDS), tokenize(text, dialect), strict=False)]
        if not tokens:
            raise RefusedDumpError("it is empty")
        names = list(tokens[0].fields) if header is None else list(header)
        self.first_record = list(tokens[0].fields)
        self.header = unique_names([name.strip() for name in names])
        rows = tokens[1:] if header is None else tokens
        self._rows = [
            row.fields
            for row in rows
            if len(row.fields) == len(self.header) and not row.broken and not self._is_header(row.fields)
        ]

    def _is_header(self, fields: Sequence[str]) -> bool:
        return self._has_header and [field.strip() for field in fields] == self._stripped_first()

    def _stripped_first(self) -> list[str]:
        return [field.strip() for field in self.first_record]

    def sample(self) -> Mapping[str, Sequence[str | None]]:
        """Return the values of the first records by column."""
        return {name: [row[i] for row in self._rows] for i, name in enumerate(self.header)}

    def batches(self, wanted: Sequence[str], joined: RecordsAreJoined | None = None) -> Iterator[RawBatch]:
        """Yield all records but the header. The fields are split in threads."""
        return map_in_threads(lambda group: self._split(*group, wanted), self._numbered_groups(joined))

    def _numbered_groups(self, joined: RecordsAreJoined | None) -> Iterator[tuple[Records, int]]:
        """Yield groups of records without the header, and the number of the first record of each."""
        first_row_number, is_first = 1, self._has_header
        for records in self._groups(joined):
            group = records
            if is_first and len(group):
                self._header_bytes = group.raw(0)
                group, is_first = group.slice(1, len(group)), False
            if len(group):
                yield group, first_row_number
                first_row_number += len(group)

    def _groups(self, joined: RecordsAreJoined | None) -> Iterator[Records]:
        def belongs(previous: bytes, record: bytes) -> bool:
            return joined is not None and joined(self._fields(previous), self._fields(record))

        blocks = whole_lines(self._blocks)
        if self._dialect.wrapped:
            blocks = rewrite_wrapped(blocks)
        if self._dialect.skip_blanks:
            return read_records(rewrite_dialect(blocks, self._dialect), belongs)
        return read_records(map(self._translate, blocks), belongs)

    @property
    def _delimiter(self) -> str:
        return "," if self._dialect.skip_blanks else self._dialect.delimiter

    @property
    def _backslashes(self) -> bool:
        return self._dialect.quoting == "backslash" and not self._dialect.skip_blanks

    def _translate(self, block: bytes) -> bytes:
        """Return a block in the grammar of `find_records`, of the same length."""
        if self._backslashes:
            if ESCAPED_QUOTE in block or ESCAPED_BACKSLASH in block:
                raise RefusedDumpError("it contains the unassigned characters U+07FB or U+07FC")
            if b"\\\\" in block:
                block = re.sub(rb"\\\\", lambda _: ESCAPED_BACKSLASH, block)
            block = block.replace(b'\\"', ESCAPED_QUOTE)
        elif self._dialect.quoting == "none" and b'"' in block:
            if NO_QUOTE in block:
                raise RefusedDumpError("it contains the control character U+0001")
            block = block.replace(b'"', NO_QUOTE)
        return self._exchange(block)

    def _exchange(self, data: bytes) -> bytes:
        delimiter = self._delimiter.encode()
        return (
            data if delimiter == b"," else data.translate(bytes.maketrans(delimiter + b",", b"," + delimiter))
        )

    def _restore(self, data: bytes) -> bytes:
        """Reverse `_translate`."""
        data = self._exchange(data)
        if self._backslashes:
            return data.replace(ESCAPED_QUOTE, b'\\"').replace(ESCAPED_BACKSLASH, b"\\\\")
        return data.replace(NO_QUOTE, b'"') if self._dialect.quoting == "none" else data

    def _fields(self, record: bytes) -> list[str]:
        """Return the fields of a translated record."""
        if self._dialect == CsvDialect() or self._dialect.skip_blanks:
            return split_fields(decode(record))
        return list(split_record(decode(self._restore(record)), self._dialect))

    def _split(self, records: Records, first_row_number: int, wanted: Sequence[str]) -> RawBatch:
        not_utf8 = records_not_in_utf8(records)
        places = [self.header.index(name) for name in wanted]
        positions, columns = split_columns(records, not_utf8, len(self.header), places)
        rejected = dict.fromkeys(not_utf8, NOT_UTF8)
        rejected |= dict.fromkeys(records.malformed, MALFORMED_QUOTES)
        rejected |= dict.fromkeys(records.unclosed, UNCLOSED_QUOTE)
        others = np.ones(len(records), dtype=bool)
        others[positions] = False
        for i in np.flatnonzero(others).tolist():
            rejected.setdefault(
                i, f"{len(self._fields(records.raw(i)))} fields instead of {len(self.header)}"
            )
        rejected |= self._swallowing(records, positions)
        skipped = self._repeated_headers(records)
        rejected = {i: reason for i, reason in rejected.items() if i not in skipped}
        if rejected or skipped:
            stays = ~are_in(positions, [*rejected, *skipped], len(records))
            positions, columns = positions[stays], [column.filter(pa.array(stays)) for column in columns]
        return RawBatch(
            first_row_number,
            len(records),
            positions,
            dict(zip(wanted, self._restored_columns(records, positions, columns, places), strict=True)),
            rejected,
            lambda i: decode(self._restore(records.raw(i))),
            lambda i: self._fields(records.raw(i)),
            skipped,
        )

    def _repeated_headers(self, records: Records) -> frozenset[int]:
        """Return the positions of records that are byte for byte the header."""
        found: list[int] = []
        position = records.data.find(self._header_bytes) if self._header_bytes else -1
        while position >= 0:
            i = int(np.searchsorted(records.starts, position))
            if i < len(records) and records.starts[i] == position and records.raw(i) == self._header_bytes:
                found.append(i)
            position = records.data.find(self._header_bytes, position + len(self._header_bytes))
        return frozenset(found)

    def _swallowing(self, records: Records, positions: Positions) -> dict[int, str]:
        """Return the records in which an open quote has swallowed others, with the reason."""
        if self._dialect.quoting == "none":
            return {}
        suspects = {
            int(np.searchsorted(records.starts, position, side="right")) - 1
            for position in line_breaks_before_ids(records)
            if LINE_LIKE_RECORD.match(records.data, position)
        }
        found = {}
        for i in sorted(suspects.intersection(positions.tolist()) if suspects else ()):
            lines = swallowed_lines(tuple(self._fields(records.raw(i))), self._delimiter)
            if lines:
                found[i] = f"a quote that is not closed has swallowed {lines} lines that look like records"
        return found

    def _restored_columns(
        self, records: Records, positions: Positions, columns: list[pa.Array], places: list[int]
    ) -> list[pa.Array]:
        if self._delimiter != ",":
            columns = [_exchange_in_column(column, self._exchange) for column in columns]
        if self._dialect.quoting == "none":
            columns = [pc.replace_substring(column, NO_QUOTE.decode(), '"') for column in columns]
        elif self._backslashes and (ESCAPED_QUOTE in records.data or ESCAPED_BACKSLASH in records.data):
            columns = [pc.replace_substring(column, ESCAPED_QUOTE.decode(), '"') for column in columns]
            columns = [
                self._with_backslashes(column, records, positions, place)
                for column, place in zip(columns, places, strict=True)
            ]
        return columns

    def _with_backslashes(
        self, column: pa.Array, records: Records, positions: Positions, place: int
    ) -> pa.Array:
        """Return a column with escaped backslashes resolved, which depends on quotes around the field."""
        rows = np.flatnonzero(
            pc.match_substring(column, ESCAPED_BACKSLASH.decode()).to_numpy(zero_copy_only=False)
        )
        if not len(rows):
            return column
        values = [self._fields(records.raw(int(positions[row])))[place] for row in rows.tolist()]
        mask = np.zeros(len(column), dtype=bool)
        mask[rows] = True
        return pc.replace_with_mask(column, pa.array(mask), pa.array(values, pa.string()))


def unique_names(names: list[str]) -> list[str]:
    """Return unique names: a nameless column becomes `column_<n>`, a repeated name gets a number."""
    result: dict[str, None] = {}
    counts: Counter[str] = Counter()
    for i, name in enumerate(names, start=1):
        unique, stem = name or f"column_{i}", name or "column"
        while unique in result:
            counts[stem] += 1
            unique = f"{stem}_{counts[stem] + 1}"
        result[unique] = None
    return list(result)


def line_breaks_before_ids(records: Records) -> list[int]:
    """Return the positions of line breaks within records after which an id may begin."""
    data = np.frombuffer(records.data, dtype=np.uint8)
    breaks = records.inner_line_ends
    if breaks is None:
        is_break = (data == LF) | (data == CR)
        is_break[records.ends - 2] &= data[records.ends - 2] != CR  # the line end is CRLF
        is_break[records.ends - 1] = False
        breaks = np.flatnonzero(is_break)
    following = breaks[:, np.newaxis] + np.arange(1, MIN_LINE_START + 1)
    beginnings = data[np.minimum(following, len(data) - 1)]
    in_id = np.logical_and.accumulate(LINE_START_BYTES[beginnings], axis=1)
    has_digit = (in_id & (beginnings >= ord("0")) & (beginnings <= ord("9"))).any(axis=1)
    found: list[int] = breaks[has_digit | in_id.all(axis=1)].tolist()
    return found


def _exchange_in_column(column: pa.Array, exchange: Callable[[bytes], bytes]) -> pa.Array:
    """Translate the bytes of a string column; its offsets stay."""
    validity, offsets, data = column.buffers()
    if data is None:
        return column
    translated = pa.py_buffer(exchange(data.to_pybytes()))
    return pa.Array.from_buffers(
        column.type, len(column), [validity, offsets, translated], offset=column.offset
    )
