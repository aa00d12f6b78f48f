"""Readers of Excel workbooks and Parquet files. Values become the text that a CSV file would have.

python-calamine reads xlsx: a Rust parser that returns typed cells and has no dependencies (fastexcel, which
Polars uses, wraps the same parser). pyarrow reads Parquet a batch at a time.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from python_calamine import CalamineError, CalamineWorkbook

from loading.detection.containers import Limits
from loading.detection.preamble import MAX_LINES, find_header
from loading.formats.dump_bytes import RefusedDumpError
from loading.readers.batches import RawBatch, RecordsAreJoined, string_array
from loading.readers.csv_reader import unique_names

BATCH_ROWS = 50_000
SAMPLE_ROWS = 2000
PARQUET_MAGIC = b"PAR1"
WHOLE_NUMBER_LIMIT = 2**53


class WorkbookReader:
    """Rows of the only filled sheet of an Excel workbook.

    Args:
        file: the workbook.
        limits: bounds on its decompressed size; a workbook is read into memory.
        header: names of the columns of a sheet without header.
    """

    def __init__(self, file: IO[bytes], limits: Limits, header: Sequence[str] | None) -> None:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            size = sum(info.file_size for info in members)
            packed = sum(info.compress_size for info in members)
        if size > min(limits.max_bytes, max(limits.max_ratio * packed, limits.min_bytes)):
            raise RefusedDumpError(f"it is a workbook that expands to {size:,} bytes")
        file.seek(0)
        try:
            self._sheet = _only_sheet(CalamineWorkbook.from_filelike(file))
        except (CalamineError, OSError, ValueError, zipfile.BadZipFile) as error:
            raise RefusedDumpError(f"it is a damaged Excel workbook ({error})") from None
        rows = self._sheet.iter_rows()
        beginning: list[list[object]] = [list(row) for _, row in zip(range(SAMPLE_ROWS), rows, strict=False)]
        self._has_header = header is None
        texts = [[cell_text(cell) or "" for cell in row] for row in beginning[:MAX_LINES]]
        self.skipped_rows = find_header(texts) if self._has_header else 0
        self.first_record = texts[self.skipped_rows] if texts else []
        self.header = unique_names(
            [name.strip() for name in (self.first_record if header is None else header)]
        )
        sampled = beginning[self.skipped_rows + self._has_header :]
        self._rows = [[cell_text(cell) for cell in row] for row in sampled]

    def sample(self) -> Mapping[str, Sequence[str | None]]:
        """Return the values of the first rows by column."""
        return {name: [row[i] for row in self._rows if i < len(row)] for i, name in enumerate(self.header)}

    def batches(self, wanted: Sequence[str], joined: RecordsAreJoined | None = None) -> Iterator[RawBatch]:
        """Yield all rows but the header and empty ones."""
        places = [self.header.index(name) for name in wanted]
        rows: list[list[str | None]] = []
        first_row_number = 1
        for number, cells in enumerate(self._sheet.iter_rows()):
            row = [cell_text(cell) for cell in cells]
            is_header = self._has_header and [value or "" for value in row] == self.first_record
            if number < self.skipped_rows or is_header or not any(row):
                continue
            rows.append(row)
            if len(rows) == BATCH_ROWS:
                yield _batch_of_rows(rows, wanted, places, first_row_number)
                first_row_number += len(rows)
                rows = []
        if rows:
            yield _batch_of_rows(rows, wanted, places, first_row_number)


def _only_sheet(workbook: CalamineWorkbook):  # type: ignore[no-untyped-def]
    names = [name for name in workbook.sheet_names if workbook.get_sheet_by_name(name).height > 1]
    if not names:
        raise RefusedDumpError("it is an Excel workbook without rows")
    if len(names) > 1:
        raise RefusedDumpError(
            f"it is an Excel workbook with {len(names)} filled sheets ({', '.join(names[:5])}); "
            "deliver each by itself"
        )
    return workbook.get_sheet_by_name(names[0])


def cell_text(cell: object) -> str | None:
    """Return the text of a cell. Whole numbers that Excel holds exactly have no decimal point."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < WHOLE_NUMBER_LIMIT else repr(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell.total_seconds()) if isinstance(cell, timedelta) else str(cell)


def _batch_of_rows(
    rows: Sequence[Sequence[str | None]], wanted: Sequence[str], places: Sequence[int], first_row_number: int
) -> RawBatch:
    columns = {
        name: string_array([row[place] if place < len(row) else None for row in rows])
        for name, place in zip(wanted, places, strict=True)
    }
    return RawBatch(
        first_row_number,
        len(rows),
        np.arange(len(rows)),
        columns,
        {},
        lambda i: json.dumps(rows[i], ensure_ascii=False),
    )


class ParquetReader:
    """Rows of a Parquet file. Nested columns are left out."""

    def __init__(self, file: IO[bytes], limits: Limits) -> None:
        try:
            self._file = pq.ParquetFile(pa.PythonFile(file, mode="r"))
        except (pa.ArrowException, OSError) as error:
            raise RefusedDumpError(f"it is a damaged Parquet file ({error})") from None
        metadata = self._file.metadata
        size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        if size > limits.max_bytes:
            raise RefusedDumpError(f"it is a Parquet file that expands to {size:,} bytes")
        schema = self._file.schema_arrow
        self.header = [field.name for field in schema if not pa.types.is_nested(_value_type(field.type))]
        self.first_record = self.header
        if len(set(self.header)) < len(self.header):
            raise RefusedDumpError("it is a Parquet file with two columns of the same name")

    def sample(self) -> Mapping[str, Sequence[str | None]]:
        """Return the values of the first rows by column."""
        for batch in self._batches(SAMPLE_ROWS, self.header):
            return {name: column_text(batch.column(name)).to_pylist() for name in self.header}
        return {name: [] for name in self.header}

    def batches(self, wanted: Sequence[str], joined: RecordsAreJoined | None = None) -> Iterator[RawBatch]:
        """Yield all rows."""
        first_row_number = 1
        for batch in self._batches(BATCH_ROWS, wanted):
            yield _batch_of_arrow(batch, wanted, first_row_number)
            first_row_number += batch.num_rows

    def _batches(self, rows: int, wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._file.iter_batches(rows, columns=list(wanted))
        except (pa.ArrowException, OSError) as error:
            raise RefusedDumpError(f"it is a damaged Parquet file ({error})") from None


def _batch_of_arrow(batch: pa.RecordBatch, wanted: Sequence[str], first_row_number: int) -> RawBatch:
    columns = {name: _times_or_text(batch.column(name)) for name in wanted}

    def raw(i: int) -> str:
        values = {name: column_text(column.slice(i, 1))[0].as_py() for name, column in columns.items()}
        return json.dumps(values, ensure_ascii=False)

    return RawBatch(first_row_number, batch.num_rows, np.arange(batch.num_rows), columns, {}, raw)


def _times_or_text(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", "UTC"), safe=False)
    return column_text(column)


def _value_type(data_type: pa.DataType) -> pa.DataType:
    return data_type.value_type if pa.types.is_dictionary(data_type) else data_type


def column_text(column: pa.Array) -> pa.Array:
    """Return a column as strings; times in UTC as ISO 8601, whole floating-point numbers without exponent."""
    data_type = column.type
    if pa.types.is_dictionary(data_type):
        return column_text(column.dictionary_decode())
    if pa.types.is_timestamp(data_type):
        suffix = "+00:00" if data_type.tz else ""
        return pc.binary_join_element_wise(pc.strftime(_in_utc(column), "%Y-%m-%d %H:%M:%S"), suffix, "")
    if pa.types.is_floating(data_type):
        return string_array([None if value is None else cell_text(value) for value in column.to_pylist()])
    if pa.types.is_binary(data_type) or pa.types.is_large_binary(data_type):
        return string_array(
            [None if value is None else value.decode("utf-8", "replace") for value in column.to_pylist()]
        )
    return column.cast(pa.string())


def _in_utc(column: pa.Array) -> pa.Array:
    return column.cast(pa.timestamp(column.type.unit, "UTC")) if column.type.tz else column
