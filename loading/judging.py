"""From records to judged records: Arrow batches of tweets, and of bad records with their reasons.

The unit of work is a group of whole records and the number of its first one: groups are judged independently of each other, in any order.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from loading.csv_records import BYTE_ORDER_MARK, Records
from loading.record_rules import (
    LABELS,
    LONGEST_ID,
    Layout,
    broken_pieces,
    parse_agreement,
    parse_label,
    split_fields,
)

# row_number counts the records after the header from 1.
TWEETS = pa.schema(
    [
        ("row_number", pa.int64()),
        ("tweet_id", pa.string()),
        ("safe_text", pa.string()),
        ("label", pa.float64()),
        ("agreement", pa.float64()),
    ]
)
BAD_RECORDS = pa.schema([("row_number", pa.int64()), ("raw_record", pa.string()), ("reason", pa.string())])

NOT_UTF8 = "not UTF-8; the bytes that are none are written as \\xNN"
MALFORMED_QUOTES = "there is text after a closing quote"
UNCLOSED_QUOTE = "a quote is opened and never closed"
# In RE2's grammar: what record_rules.parse_number may take for a number.
NUMBER_TEXT = r"^[\s\pZ]*[+-]?[0-9][0-9.eE+-]*[\s\pZ]*$"
LONGEST_NUMBER = 32  # a double takes at most 24 characters
# Longer texts count as this long in the median.
LONGEST_COUNTED_TEXT = 10_000

Mask = npt.NDArray[np.bool_]
Fault = tuple[str, int | None]


@dataclass(frozen=True)
class Judged:
    """What became of a group of records.

    `id_hashes` has a 64-bit hash for each tweet's id; `label_counts` how many tweets carry each of LABELS; `text_lengths[n]` how many tweets
    have a text of n characters.
    """

    records: int
    tweets: pa.RecordBatch
    bad_records: pa.RecordBatch
    id_hashes: npt.NDArray[np.uint64]
    label_counts: npt.NDArray[np.int64]
    text_lengths: npt.NDArray[np.int64]


def hash_ids(ids: pa.Array) -> npt.NDArray[np.uint64]:
    """A 64-bit hash for each id."""
    hashes: npt.NDArray[np.uint64] = pl.Series(values=ids).hash().to_numpy()
    return hashes


def belongs_to_previous(layout: Layout, previous: bytes, record: bytes) -> bool:
    """Whether the two may be pieces of one record."""
    return layout.belongs_to(split_fields(as_text(previous)), split_fields(as_text(record)))


def as_text(record: bytes) -> str:
    r"""`record` as a string, with \xNN for bytes that are not UTF-8."""
    return record.decode("utf-8", "backslashreplace")


def judge_records(records: Records, layout: Layout, first_row_number: int) -> Judged:
    """Judge `records`, of which the first has the number `first_row_number`."""
    not_utf8 = _records_not_in_utf8(records)
    whole, fields = _split_columns(_with_bad_records_masked(records, not_utf8), len(records), layout)
    good, columns = _good_tweets(fields, layout)
    # A tail of one word passes for a tweet whose text is its label; the record before it tells.
    short = np.flatnonzero(_as_numpy(pc.binary_length(columns[1])) <= LONGEST_NUMBER)
    number_texts = whole[short[_as_numpy(pc.match_substring_regex(columns[1].take(short), NUMBER_TEXT))]]
    bad = np.ones(len(records), dtype=bool)
    bad[whole[good]] = False
    bad[list(records.malformed | records.unclosed | not_utf8)] = True
    faults = _faults(records, layout, np.flatnonzero(bad).tolist(), number_texts.tolist())
    is_bad = np.zeros(len(records), dtype=bool)
    is_bad[list(faults)] = True
    keep = good & ~is_bad[whole]
    accepted = pa.array(keep)
    tweets = pa.RecordBatch.from_arrays(
        [pa.array(whole[keep] + first_row_number), *(column.filter(accepted) for column in columns)],
        schema=TWEETS,
    )
    numbers = sorted(faults)
    bad_records = pa.RecordBatch.from_arrays(
        [
            pa.array([i + first_row_number for i in numbers], pa.int64()),
            pa.array([as_text(records.raw(i)) for i in numbers], pa.string()),
            pa.array([_reason(*faults[i], first_row_number) for i in numbers], pa.string()),
        ],
        schema=BAD_RECORDS,
    )
    labels = _as_numpy(tweets.column("label"))
    lengths = _as_numpy(pc.utf8_length(tweets.column("safe_text")))
    return Judged(
        len(records),
        tweets,
        bad_records,
        hash_ids(tweets.column("tweet_id")),
        np.array([np.count_nonzero(labels == label) for label in LABELS]),
        np.bincount(np.minimum(lengths, LONGEST_COUNTED_TEXT), minlength=LONGEST_COUNTED_TEXT + 1),
    )


def _reason(words: str, other: int | None, first_row_number: int) -> str:
    return words if other is None else f"{words} {other + first_row_number}"


def _records_not_in_utf8(records: Records) -> frozenset[int]:
    whole = pa.Array.from_buffers(
        pa.binary(),
        1,
        [None, pa.py_buffer(np.array([0, len(records.data)], np.int32)), pa.py_buffer(records.data)],
    )
    try:
        whole.cast(pa.string())
    except pa.ArrowInvalid:
        return frozenset(
            i for i in range(len(records)) if as_text(records.raw(i)).encode("utf-8") != records.raw(i)
        )
    return frozenset()


def _with_bad_records_masked(records: Records, not_utf8: frozenset[int]) -> bytes:
    """The bytes of `records`, with those of bad records that Arrow's reader cannot read replaced by others, in as many bytes."""
    data = records.data
    if not_utf8 or records.unclosed:
        masked = np.frombuffer(data, dtype=np.uint8).copy()
        for i in not_utf8:
            record = masked[records.starts[i] : records.ends[i]]
            record[record > 127] = ord("?")
        for i in records.unclosed:
            masked[records.starts[i] : records.ends[i] - 1] = ord("x")
        data = masked.tobytes()
    # Arrow's reader drops a byte order mark, which here belongs to a field; a blank line before it keeps it.
    return b"\n" + data if data.startswith(BYTE_ORDER_MARK) else data


def _split_columns(data: bytes, count: int, layout: Layout) -> tuple[npt.NDArray[np.int64], list[pa.Array]]:
    """Which of the `count` records in `data` have the right number of fields, and their columns tweet_id, text, label and agreement."""
    places = [
        layout.tweet_id,
        layout.text,
        *(place for place in (layout.label, layout.agreement) if place is not None),
    ]
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
    # Arrow counts rows from 1.
    whole = np.delete(np.arange(count), [number - 1 for number in wrong])
    assert len(whole) == table.num_rows, f"{len(whole)} records were found, and {table.num_rows} parsed"
    return whole, [column.combine_chunks() for column in table.columns]


def _good_tweets(fields: list[pa.Array], layout: Layout) -> tuple[Mask, list[pa.Array]]:
    """Which rows are tweets, and the columns tweet_id, safe_text, label, agreement; their values mean nothing in the other rows."""
    ids, texts, *votes = fields
    good = _are_ids(ids)
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


def _are_ids(fields: pa.Array) -> Mask:
    """Which fields are ids, as record_rules.TWEET_ID has them."""
    good = _as_numpy(pc.ascii_is_alnum(fields))
    # Most are letters and digits alone, which is found ten times as fast.
    others = np.flatnonzero(~good | (_as_numpy(pc.binary_length(fields)) > LONGEST_ID))
    good[others] = _as_numpy(
        pc.match_substring_regex(fields.take(others), rf"^[0-9A-Za-z_-]{{1,{LONGEST_ID}}}$")
    )
    return good


def _as_numpy(column: pa.Array) -> np.ndarray:
    return column.to_numpy(zero_copy_only=False)


def _faults(records: Records, layout: Layout, bad: list[int], number_texts: list[int]) -> dict[int, Fault]:
    """For each bad record, and for the pieces of broken ones, the reason and the record that the reason names."""
    faults: dict[int, Fault] = {i: (_fault(records, layout, i), None) for i in bad}

    def fields_of(i: int) -> list[str]:
        return split_fields(as_text(records.raw(i)))

    suspects = [i for i in sorted({*bad, *number_texts}) if i not in records.unclosed]
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
    assert reason is not None, f"record {i} of its group is a tweet after all"
    return reason
