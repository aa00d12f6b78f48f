"""From CSV records to string columns by Arrow's parser, and the records that it cannot read."""

import numpy as np
import pyarrow as pa
import pyarrow.csv

from loading.formats.csv_records import BYTE_ORDER_MARK, Records
from loading.readers.batches import Positions
from loading.validation.records import decode


def records_not_in_utf8(records: Records) -> frozenset[int]:
    """Return the positions of records with invalid UTF-8."""
    whole = pa.Array.from_buffers(
        pa.binary(),
        1,
        [None, pa.py_buffer(np.array([0, len(records.data)], np.int32)), pa.py_buffer(records.data)],
    )
    try:
        whole.cast(pa.string())
    except pa.ArrowInvalid:
        return frozenset(
            i for i in range(len(records)) if decode(records.raw(i)).encode("utf-8") != records.raw(i)
        )
    return frozenset()


def split_columns(
    records: Records, not_utf8: frozenset[int], width: int, places: list[int]
) -> tuple[Positions, list[pa.Array]]:
    """Return the positions of records with `width` fields, and their columns at `places`."""
    data = records.data
    if not_utf8 or records.unclosed:
        masked = np.frombuffer(data, dtype=np.uint8).copy()
        for i in not_utf8:
            record = masked[records.starts[i] : records.ends[i]]
            record[record > 127] = ord("?")
        for i in records.unclosed:
            masked[records.starts[i] : records.ends[i] - 1] = ord("x")
        data = masked.tobytes()
    names = [str(i) for i in range(width)]
    wrong: list[int] = []

    def leave_out(row: pa.csv.InvalidRow) -> str:
        wrong.append(row.number)
        return "skip"

    table = pa.csv.read_csv(
        # Arrow drops a byte order mark; here it belongs to a field. A blank line before it keeps it.
        pa.BufferReader(b"\n" + data if data.startswith(BYTE_ORDER_MARK) else data),
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=len(data) + 2, column_names=names),
        parse_options=pa.csv.ParseOptions(
            newlines_in_values=True, ignore_empty_lines=True, invalid_row_handler=leave_out
        ),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=[names[place] for place in places],
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    positions = np.delete(np.arange(len(records)), [number - 1 for number in wrong])
    assert len(positions) == table.num_rows, f"{len(records)} records were found, and {table.num_rows} parsed"
    return positions, [column.combine_chunks() for column in table.columns]
