"""Validate groups of CSV records. The results are Arrow batches of tweets and of invalid records.

Groups are validated independently of each other, in any order.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from contracts.labels import LABELS
from contracts.tables import QUARANTINE, TWEETS_RAW
from loading.formats.csv_records import BYTE_ORDER_MARK, Records, split_fields
from loading.tables.queries import hash_ids
from loading.tables.schemas import arrow_schema
from loading.validation.record_rules import (
    MAX_ID_CHARACTERS,
    Layout,
    RecordError,
    find_split_records,
    is_rejected_by,
    parse_agreement,
    parse_label,
)

ROW_NUMBER = arrow_schema(QUARANTINE).field("row_number")
# The columns of tweets_raw that come from a record, and those of quarantine; without those of the whole dump.
TWEETS = pa.schema([ROW_NUMBER, *list(arrow_schema(TWEETS_RAW))[:4]])
INVALID_RECORDS = pa.schema(list(arrow_schema(QUARANTINE))[1:])

NOT_UTF8 = "not UTF-8; invalid bytes are written as \\xNN"
MALFORMED_QUOTES = "there is text after a closing quote"
UNCLOSED_QUOTE = "a quote is opened and never closed"
# Matches everything that record_rules.parse_number accepts, in RE2's syntax.
NUMBER_TEXT = r"^[\s\pZ]*[+-]?[0-9][0-9.eE+-]*[\s\pZ]*$"
MAX_NUMBER_BYTES = 32  # a double needs at most 24 characters
# Longer texts count as texts of this length in the median.
MAX_COUNTED_LENGTH = 10_000

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ValidatedRecords:
    """Result for a group of records.

    Attributes:
        records: number of records.
        tweets: a batch of TWEETS.
        invalid_records: a batch of INVALID_RECORDS.
        id_hashes: 64-bit hash of each tweet's id.
        label_counts: number of tweets per label, in the order of LABELS.
        text_lengths: `text_lengths[n]` is the number of tweets whose text has n characters.
    """

    records: int
    tweets: pa.RecordBatch
    invalid_records: pa.RecordBatch
    id_hashes: npt.NDArray[np.uint64]
    label_counts: npt.NDArray[np.int64]
    text_lengths: npt.NDArray[np.int64]


def may_continue(layout: Layout, previous: bytes, record: bytes) -> bool:
    """Return whether `record` may continue `previous` after an unquoted line break."""
    return layout.may_continue(split_fields(decode(previous)), split_fields(decode(record)))


def decode(record: bytes) -> str:
    r"""Return `record` as a string, with \xNN for bytes that are not UTF-8."""
    return record.decode("utf-8", "backslashreplace")


def validate_records(records: Records, layout: Layout, first_row_number: int) -> ValidatedRecords:
    """Validate a group of records. The first one has the row number `first_row_number`."""
    not_utf8 = _records_not_in_utf8(records)
    parsed, fields = _split_columns(_mask_unreadable(records, not_utf8), len(records), layout)
    valid, columns = _validate_columns(fields, layout)
    # A tail of one word looks like a tweet whose text is a number. The record before it shows the error.
    short = np.flatnonzero(_to_numpy(pc.binary_length(columns[1])) <= MAX_NUMBER_BYTES)
    is_number = _to_numpy(pc.match_substring_regex(columns[1].take(short), NUMBER_TEXT))
    number_texts = parsed[short[is_number]]
    invalid = np.ones(len(records), dtype=bool)
    invalid[parsed[valid]] = False
    invalid[list(records.malformed | records.unclosed | not_utf8)] = True
    errors = _find_errors(records, layout, np.flatnonzero(invalid).tolist(), number_texts.tolist())
    has_error = np.zeros(len(records), dtype=bool)
    has_error[list(errors)] = True
    accepted = valid & ~has_error[parsed]
    mask = pa.array(accepted)
    tweets = pa.RecordBatch.from_arrays(
        [pa.array(parsed[accepted] + first_row_number), *(column.filter(mask) for column in columns)],
        schema=TWEETS,
    )
    positions = sorted(errors)
    invalid_records = pa.RecordBatch.from_arrays(
        [
            pa.array([i + first_row_number for i in positions], pa.int64()),
            pa.array([decode(records.raw(i)) for i in positions], pa.string()),
            pa.array([_format_reason(errors[i], first_row_number) for i in positions], pa.string()),
        ],
        schema=INVALID_RECORDS,
    )
    labels = _to_numpy(tweets.column("label"))
    lengths = _to_numpy(pc.utf8_length(tweets.column("safe_text")))
    return ValidatedRecords(
        len(records),
        tweets,
        invalid_records,
        hash_ids(tweets.column("tweet_id")),
        np.array([np.count_nonzero(labels == label) for label in LABELS]),
        np.bincount(np.minimum(lengths, MAX_COUNTED_LENGTH), minlength=MAX_COUNTED_LENGTH + 1),
    )


def _format_reason(error: RecordError, first_row_number: int) -> str:
    other = error.other_record
    return error.reason if other is None else f"{error.reason} {other + first_row_number}"


def _records_not_in_utf8(records: Records) -> frozenset[int]:
    offsets = pa.py_buffer(np.array([0, len(records.data)], np.int32))
    data = pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(records.data)])
    try:
        data.cast(pa.string())
    except pa.ArrowInvalid:
        return frozenset(
            i for i in range(len(records)) if decode(records.raw(i)).encode("utf-8") != records.raw(i)
        )
    return frozenset()


def _mask_unreadable(records: Records, not_utf8: frozenset[int]) -> bytes:
    """Return the bytes of `records`. Those that Arrow's reader cannot read are overwritten."""
    data = records.data
    if not_utf8 or records.unclosed:
        masked = np.frombuffer(data, dtype=np.uint8).copy()
        for i in not_utf8:
            record = masked[records.starts[i] : records.ends[i]]
            record[record > 127] = ord("?")
        for i in records.unclosed:
            masked[records.starts[i] : records.ends[i] - 1] = ord("x")
        data = masked.tobytes()
    # A byte order mark here belongs to a field. Arrow's reader drops it, unless a blank line precedes it.
    return b"\n" + data if data.startswith(BYTE_ORDER_MARK) else data


def _split_columns(data: bytes, count: int, layout: Layout) -> tuple[npt.NDArray[np.int64], list[pa.Array]]:
    """Parse `count` records. Omit records with a wrong number of fields.

    Return the positions of the others and their columns tweet_id, text, label and agreement as strings.
    """
    positions = [
        layout.tweet_id,
        layout.text,
        *(position for position in (layout.label, layout.agreement) if position is not None),
    ]
    names = [str(i) for i in range(len(layout.columns))]
    skipped: list[int] = []

    def skip(row: pa.csv.InvalidRow) -> str:
        skipped.append(row.number)
        return "skip"

    if not count:
        return np.zeros(0, dtype=np.int64), [pa.array([], pa.string()) for _ in positions]
    table = pa.csv.read_csv(
        pa.BufferReader(data),
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
        parse_options=pa.csv.ParseOptions(
            newlines_in_values=True, ignore_empty_lines=True, invalid_row_handler=skip
        ),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=[names[position] for position in positions],
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    # Arrow counts rows from 1.
    parsed = np.delete(np.arange(count), [number - 1 for number in skipped])
    assert len(parsed) == table.num_rows, f"{len(parsed)} records were found, but {table.num_rows} parsed"
    return parsed, [column.combine_chunks() for column in table.columns]


def _validate_columns(fields: list[pa.Array], layout: Layout) -> tuple[Mask, list[pa.Array]]:
    """Return which rows are valid, and the columns tweet_id, safe_text, label, agreement.

    The values of invalid rows are undefined.
    """
    ids, texts, *numbers = fields
    valid = _are_ids(ids)
    # A text must not be white space only. Arrow's definition of white space is Python's (Layout.find_error).
    valid &= ~_to_numpy(pc.or_(pc.equal(texts, ""), pc.utf8_is_space(texts)))
    rest = iter(numbers)
    columns = [ids, texts]
    for position, parse in ((layout.label, parse_label), (layout.agreement, parse_agreement)):
        if position is None:
            columns.append(pa.nulls(len(ids), pa.float64()))
            continue
        # There are few distinct values, so only these are parsed.
        encoded = next(rest).dictionary_encode()
        distinct = encoded.dictionary.to_pylist()
        is_valid = np.array([not is_rejected_by(parse, value) for value in distinct], dtype=bool)
        values = [parse(value) if ok else None for value, ok in zip(distinct, is_valid, strict=True)]
        columns.append(pa.array(values, pa.float64()).take(encoded.indices))
        valid &= is_valid[_to_numpy(encoded.indices)]
    return valid, columns


def _are_ids(fields: pa.Array) -> Mask:
    """Return which fields match record_rules.TWEET_ID."""
    valid = _to_numpy(pc.ascii_is_alnum(fields))
    # Most ids have only letters and digits. This test is ten times as fast as the expression.
    others = np.flatnonzero(~valid | (_to_numpy(pc.binary_length(fields)) > MAX_ID_CHARACTERS))
    expression = rf"^[0-9A-Za-z_-]{{1,{MAX_ID_CHARACTERS}}}$"
    valid[others] = _to_numpy(pc.match_substring_regex(fields.take(others), expression))
    return valid


def _to_numpy(column: pa.Array) -> np.ndarray:
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    return values


def _find_errors(
    records: Records, layout: Layout, invalid: list[int], number_texts: list[int]
) -> dict[int, RecordError]:
    """Return the errors of invalid records and of the pieces of split records, by position."""
    errors = {i: RecordError(_find_error(records, layout, i)) for i in invalid}

    def fields_of(i: int) -> list[str]:
        return split_fields(decode(records.raw(i)))

    suspects = [i for i in sorted({*invalid, *number_texts}) if i not in records.unclosed]
    return errors | find_split_records(layout, fields_of, suspects)


def _find_error(records: Records, layout: Layout, i: int) -> str:
    if i in records.unclosed:
        return UNCLOSED_QUOTE
    if i in records.malformed:
        return MALFORMED_QUOTES
    try:
        reason = layout.find_error(split_fields(records.raw(i).decode("utf-8")))
    except UnicodeDecodeError:
        return NOT_UTF8
    assert reason is not None, f"record {i} of the group is valid for Layout, but not for _validate_columns"
    return reason
