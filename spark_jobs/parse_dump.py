"""From the bytes of a dump to Arrow batches of judged records, a block at a time.

The columns of a batch are in PARSED: a good record has tweet_id, safe_text, label and agreement; a bad one has raw_record, reason and, where the
reason names another record, that record's position. `position` counts records within the block's partition, from 0.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import DoubleType, LongType, StringType, StructField, StructType

from spark_jobs.csv_records import Records, read_records
from spark_jobs.record_rules import Layout, broken_pieces, parse_agreement, parse_label, split_fields

PARSED = StructType(
    [
        StructField("position", LongType()),
        StructField("tweet_id", StringType()),
        StructField("safe_text", StringType()),
        StructField("label", DoubleType()),
        StructField("agreement", DoubleType()),
        StructField("raw_record", StringType()),
        StructField("reason", StringType()),
        StructField("other_position", LongType()),
    ]
)
ARROW_SCHEMA = to_arrow_schema(PARSED)
NOT_UTF8 = "not UTF-8; the bytes that are none are written as \\xNN"
MALFORMED_QUOTES = "there is text after a closing quote"
# In RE2's grammar: what record_rules.parse_number may take for a number.
NUMBER_TEXT = r"^[\s\pZ]*[+-]?[0-9][0-9.eE+-]*[\s\pZ]*$"
LONGEST_NUMBER = 100
UNCLOSED_QUOTE = "a quote is opened and never closed"


def continues_previous(layout: Layout, record: bytes) -> bool:
    """Whether `record` may be the rest of the record before it."""
    return layout.looks_like_tail(split_fields(as_text(record)))


def as_text(record: bytes) -> str:
    r"""`record` as a string, with \xNN for bytes that are not UTF-8."""
    return record.decode("utf-8", "backslashreplace")


def parse_blocks(blocks: Iterable[bytes], layout: Layout, *, has_header: bool, may_end_open: bool = True) -> Iterator[pa.RecordBatch]:
    """Batches of ARROW_SCHEMA from blocks of whole lines; the first record is left out where it is the header."""
    position = -1 if has_header else 0
    for records in read_records(blocks, lambda record: continues_previous(layout, record), may_end_open=may_end_open):
        judged = judge_records(records, layout, position)
        position += len(records)
        if judged.num_rows:
            yield judged


def judge_records(records: Records, layout: Layout, first_position: int) -> pa.RecordBatch:
    """A batch with one row for each of `records`; a record at position -1 is the header and left out."""
    not_utf8 = _records_not_in_utf8(records)
    whole, fields = _split_columns(_as_arrow_can_read(records, not_utf8), len(records), layout)
    good, columns = _good_tweets(fields, layout)
    # A tail of one word passes for a tweet whose text is its label; the record before it tells.
    short = np.flatnonzero(_as_numpy(pc.binary_length(columns[1])) <= LONGEST_NUMBER)
    number_texts = whole[short[_as_numpy(pc.match_substring_regex(columns[1].take(short), NUMBER_TEXT))]]
    bad = np.ones(len(records), dtype=bool)
    bad[whole[good]] = False
    bad[list(records.malformed | records.unclosed | not_utf8)] = True
    if first_position < 0:
        bad[0] = False
    faults = _faults(records, layout, np.flatnonzero(bad).tolist(), number_texts.tolist(), header=first_position < 0)
    left_out = np.zeros(len(records), dtype=bool)
    left_out[list(faults)] = True
    left_out[: -first_position if first_position < 0 else 0] = True
    keep = good & ~left_out[whole]
    accepted = pa.array(keep)
    numbers = sorted(faults)
    accepted_batch = [
        pa.array(whole[keep] + first_position),
        *(column.filter(accepted) for column in columns),
        *(pa.nulls(int(keep.sum()), type_) for type_ in (pa.string(), pa.string(), pa.int64())),
    ]
    refused_batch = [
        pa.array([i + first_position for i in numbers], pa.int64()),
        *(pa.nulls(len(numbers), type_) for type_ in (pa.string(), pa.string(), pa.float64(), pa.float64())),
        pa.array([as_text(records.raw(i)) for i in numbers], pa.string()),
        pa.array([faults[i][0] for i in numbers], pa.string()),
        pa.array([None if (other := faults[i][1]) is None else other + first_position for i in numbers], pa.int64()),
    ]
    if not numbers:
        return pa.RecordBatch.from_arrays(accepted_batch, schema=ARROW_SCHEMA)
    return pa.RecordBatch.from_arrays(
        [pa.concat_arrays([a, r]) for a, r in zip(accepted_batch, refused_batch, strict=True)], schema=ARROW_SCHEMA
    )


def _records_not_in_utf8(records: Records) -> frozenset[int]:
    try:
        records.data.decode("utf-8")
    except UnicodeDecodeError:
        return frozenset(i for i in range(len(records)) if as_text(records.raw(i)).encode("utf-8") != records.raw(i))
    return frozenset()


def _as_arrow_can_read(records: Records, not_utf8: frozenset[int]) -> bytes:
    """The bytes of `records`, of the same length, without what Arrow's reader would stumble over; all of it is in records that are bad already."""
    if not not_utf8 and not records.unclosed:
        return records.data
    data = np.frombuffer(records.data, dtype=np.uint8).copy()
    for i in not_utf8:
        record = data[records.starts[i] : records.ends[i]]
        record[record > 127] = ord("?")
    for i in records.unclosed:
        data[records.starts[i] : records.ends[i] - 1] = ord("x")
    return data.tobytes()


def _split_columns(data: bytes, count: int, layout: Layout) -> tuple[np.ndarray, list[pa.Array]]:
    """Which of the `count` records in `data` have the right number of fields, and their columns tweet_id, text, label and agreement."""
    places = [layout.tweet_id, layout.text, *(place for place in (layout.label, layout.agreement) if place is not None)]
    names = [str(i) for i in range(len(layout.columns))]
    wrong: list[int] = []

    def leave_out(row: pa.csv.InvalidRow) -> str:
        wrong.append(row.number)
        return "skip"

    if not count:
        return np.zeros(0, dtype=np.int64), [pa.array([], pa.string()) for _ in places]
    table = pa.csv.read_csv(
        pa.BufferReader(data),
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=True, invalid_row_handler=leave_out),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=[names[place] for place in places],
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    # Arrow counts rows from 1.
    whole = np.delete(np.arange(count), [number - 1 for number in wrong])
    assert len(whole) == table.num_rows, f"{len(whole)} records were found, and {table.num_rows} parsed"
    return whole, [column.combine_chunks() for column in table.columns]


def _good_tweets(fields: list[pa.Array], layout: Layout) -> tuple[np.ndarray, list[pa.Array]]:
    """Which rows are tweets, and the columns tweet_id, safe_text, label, agreement; their values mean nothing in the other rows."""
    ids, texts, *votes = fields
    good = _as_numpy(pc.match_substring_regex(ids, r"^[0-9A-Za-z_-]{1,64}$"))
    # White space alone is no text. Python's idea of white space, so that both ways of judging agree: see Layout.fault.
    good &= ~_as_numpy(pc.or_(pc.equal(texts, ""), pc.utf8_is_space(texts)))
    rest = iter(votes)
    columns = [ids, texts]
    for place, parse in ((layout.label, parse_label), (layout.agreement, parse_agreement)):
        if place is None:
            columns.append(pa.nulls(len(ids), pa.float64()))
            continue
        # Few different values: each is parsed once.
        encoded = next(rest).dictionary_encode()
        values, valid = [], []
        for value in encoded.dictionary.to_pylist():
            try:
                values.append(parse(value))
                valid.append(True)
            except ValueError:
                values.append(None)
                valid.append(False)
        columns.append(pa.array(values, pa.float64()).take(encoded.indices))
        good &= np.array(valid, dtype=bool)[_as_numpy(encoded.indices)]
    return good, columns


def _as_numpy(column: pa.Array) -> np.ndarray:
    return column.to_numpy(zero_copy_only=False)


def _faults(
    records: Records, layout: Layout, bad: list[int], number_texts: list[int], *, header: bool
) -> dict[int, tuple[str, int | None]]:
    """For each bad record, and for the pieces of broken ones, the reason and the record that the reason names."""
    faults: dict[int, tuple[str, int | None]] = {i: (_fault(records, layout, i), None) for i in bad}

    def fields_of(i: int) -> list[str]:
        return split_fields(as_text(records.raw(i)))

    suspects = [i for i in sorted({*bad, *number_texts}) if i not in records.unclosed and i > header]
    for i, (other, words) in broken_pieces(layout, fields_of, suspects).items():
        faults[i] = words, other
    return faults


def _fault(records: Records, layout: Layout, i: int) -> str:
    if i in records.unclosed:
        return UNCLOSED_QUOTE
    if i in records.malformed:
        return MALFORMED_QUOTES
    try:
        reason = layout.fault(split_fields(records.raw(i).decode("utf-8")))
    except UnicodeDecodeError:
        return NOT_UTF8
    assert reason is not None, f"record {i} of its block is a tweet after all"
    return reason
