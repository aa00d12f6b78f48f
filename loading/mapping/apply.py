"""Apply a mapping to batches of records: tweets in the canonical columns, and rejected records.

The values are brought into the form of the canonical CSV; the record rules are those of the canonical CSV.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loading.formats.dump_bytes import RefusedDumpError
from loading.mapping.dates import possible_times, to_times
from loading.mapping.ids import cure_column, snowflake_times, text_ids
from loading.mapping.labels import translate_labels
from loading.mapping.model import TEXT_ID, ColumnMapping
from loading.readers.batches import RawBatch, RecordsAreJoined, are_in
from loading.tables.queries import hash_strings
from loading.threads import map_in_threads
from loading.validation.record_rules import Layout, find_split_records
from loading.validation.records import (
    INVALID_RECORDS,
    TWEETS,
    UNCLOSED_QUOTE,
    count_all_line_breaks,
    count_line_breaks,
    find_long_texts,
    find_number_texts,
    validate_values,
)
from loading.vocabulary import MISSING

TIME = pa.timestamp("us", "UTC")
CANONICAL = Layout(("tweet_id", "safe_text", "label", "agreement"), 0, 1, 2, 3)
# Longer texts count as texts of this length in the median.
MAX_COUNTED_LENGTH = 10_000
# An open quote may have swallowed other records of a text with more line breaks and more characters.
MAX_LINE_BREAKS = 30
MIN_SUSPICIOUS_LENGTH = 300
LANGUAGE = r"^[A-Za-z]{2,3}([-_][A-Za-z]{2,4})?$"


@dataclass(frozen=True)
class MappedBatch:
    """A group of records after mapping: records = tweets + rejected.

    Attributes:
        records: number of records, without headers that occur again.
        tweets: the tweets, TWEETS.
        rejected: the other records, INVALID_RECORDS.
        lost_lines: lines of the file in rejected records; more than their number if a quote was left open. A
            parsed JSON object, or a row of xlsx or Parquet, counts as one line.
        label_values: how often each label value of the dump occurs.
        unparsed_dates: dates that no format fits.
        repeated_headers: headers that occur again.
        id_hashes: 64-bit hash of the id of each tweet.
        text_lengths: `text_lengths[n]` is the number of tweets whose text has n characters.
        lines: lines in all records.
        suspicious_lines: lines in texts with more than MAX_LINE_BREAKS line breaks.
        alternatives: how many dates each of the alternative formats fits, and in the end how many one of them
            fits.
    """

    records: int
    tweets: pa.RecordBatch
    rejected: pa.RecordBatch
    lost_lines: int
    label_values: Counter[str]
    unparsed_dates: int
    repeated_headers: int
    id_hashes: npt.NDArray[np.uint64]
    text_lengths: npt.NDArray[np.int64]
    lines: int
    suspicious_lines: int
    alternatives: npt.NDArray[np.int64] | None = None


def layout_of(header: Sequence[str], mapping: ColumnMapping) -> Layout | None:
    """Return the layout for the search of records that a line break has cut; None without an id column."""
    if mapping.tweet_id == TEXT_ID:
        return None
    place = {name: i for i, name in enumerate(header)}
    label, agreement = (None if name is None else place[name] for name in (mapping.label, mapping.agreement))
    return Layout(tuple(header), place[mapping.tweet_id], place[mapping.text], label, agreement)


def joined_test(layout: Layout | None) -> RecordsAreJoined | None:
    """Return the test whether two records may be pieces of one."""
    return None if layout is None else layout.may_continue


def map_batches(
    batches: Iterable[RawBatch], mapping: ColumnMapping, layout: Layout | None, max_text_length: int
) -> Iterator[MappedBatch]:
    """Yield mapped batches in the order of the dump; the work is done in threads."""
    return map_in_threads(lambda batch: map_batch(batch, mapping, layout, max_text_length), batches)


def map_batch(
    batch: RawBatch, mapping: ColumnMapping, layout: Layout | None, max_text_length: int
) -> MappedBatch:
    """Return the tweets and the rejected records of a batch.

    Raises:
        RefusedDumpError: the batch contains a header with another order of columns.
    """
    texts = batch.columns[mapping.text].fill_null("")
    if mapping.tweet_id == TEXT_ID:
        ids, good = text_ids(texts), np.ones(len(texts), dtype=bool)
    else:
        ids, good = cure_column(batch.columns[mapping.tweet_id].fill_null(""))
    labels, values = translate_labels(_column(batch, mapping.label), mapping.labels)
    headers = _find_headers(batch, mapping, layout)
    agreements = _clean_numbers(_column(batch, mapping.agreement))
    is_valid, numbers = validate_values(texts, labels, agreements)
    good &= is_valid
    fields = [ids, texts, labels, agreements]
    reasons = dict(batch.rejected) | dict.fromkeys(headers, "it is the header again")
    for row in np.flatnonzero(~good).tolist():
        reason = CANONICAL.find_error([str(column[row].as_py()) for column in fields])
        reasons[int(batch.positions[row])] = reason or "it is not a tweet"
    reasons |= dict.fromkeys(
        batch.positions[find_long_texts(texts, max_text_length)].tolist(),
        f"the text has more than {max_text_length:,} characters",
    )
    reasons |= _pieces(batch, texts, reasons, layout)
    good &= ~are_in(batch.positions, reasons, batch.size)
    keep = pa.array(good)
    times, unparsed = _times(batch, mapping, ids)
    tweets = pa.RecordBatch.from_arrays(
        [
            pa.array(batch.positions[good] + batch.first_row_number),
            *(column.filter(keep) for column in (ids, texts, *numbers)),
            times.filter(keep),
            _languages(batch, mapping, len(texts)).filter(keep),
        ],
        schema=TWEETS,
    )
    rejected_positions = sorted(reasons)
    raws = [batch.raw(i) for i in rejected_positions]
    rejected = pa.RecordBatch.from_arrays(
        [
            pa.array([i + batch.first_row_number for i in rejected_positions], pa.int64()),
            pa.array(raws, pa.string()),
            pa.array([reasons[i] for i in rejected_positions], pa.string()),
        ],
        schema=INVALID_RECORDS,
    )
    breaks = count_line_breaks(rejected.column("raw_record"))
    if batch.fields is None:
        # A record that a parser has understood contains no other records. Its lines are formatting.
        breaks = breaks[[i in batch.rejected for i in rejected_positions]]
    lost_lines = len(raws) + int(breaks.sum())
    texts = tweets.column("safe_text")
    lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
    long_breaks = count_line_breaks(texts.take(pa.array(np.flatnonzero(lengths > MIN_SUSPICIOUS_LENGTH))))
    suspicious = long_breaks[long_breaks > MAX_LINE_BREAKS]
    return MappedBatch(
        batch.size - len(batch.skipped),
        tweets,
        rejected,
        lost_lines,
        values,
        unparsed,
        len(batch.skipped),
        hash_strings(tweets.column("tweet_id")),
        np.bincount(np.minimum(lengths, MAX_COUNTED_LENGTH), minlength=MAX_COUNTED_LENGTH + 1),
        tweets.num_rows + count_all_line_breaks(texts) + lost_lines,
        len(suspicious) + int(suspicious.sum()),
        count_alternatives(batch, mapping),
    )


def _column(batch: RawBatch, name: str | None) -> pa.Array:
    return pa.nulls(len(batch.positions), pa.string()) if name is None else batch.columns[name]


def _clean_numbers(column: pa.Array) -> pa.DictionaryArray:
    """Return numbers with a decimal point, empty if there is none."""
    encoded = column.fill_null("").dictionary_encode()
    cleaned = [
        "" if value.strip().casefold() in MISSING else value.replace(",", ".")
        for value in encoded.dictionary.to_pylist()
    ]
    return pa.DictionaryArray.from_arrays(encoded.indices, pa.array(cleaned, pa.string()))


def _pieces(
    batch: RawBatch, texts: pa.Array, reasons: dict[int, str], layout: Layout | None
) -> dict[int, str]:
    """Return the pieces of records that an unquoted line break has cut, with the reason."""
    fields_of = batch.fields
    if fields_of is None or layout is None:
        return {}
    suspects = {*reasons, *batch.positions[find_number_texts(texts)].tolist()} - batch.skipped
    suspects -= {i for i, reason in reasons.items() if reason == UNCLOSED_QUOTE}
    return {
        i: f"{error.reason} {(error.other_record or 0) + batch.first_row_number}"
        for i, error in find_split_records(layout, fields_of, sorted(suspects)).items()
    }


def _find_headers(batch: RawBatch, mapping: ColumnMapping, layout: Layout | None) -> list[int]:
    """Return the positions of records whose id and text are names of columns: a header in other bytes.

    Raises:
        RefusedDumpError: its columns have another order, so that the records after it are misread.
    """
    if layout is None:
        return []
    names = pa.array(layout.columns, pa.string())
    cells = [pc.utf8_trim_whitespace(batch.columns[name]) for name in (mapping.tweet_id, mapping.text)]
    rows = np.flatnonzero(pc.and_(*(pc.is_in(column, names) for column in cells)))
    positions = [int(batch.positions[row]) for row in rows]
    for row, position in zip(rows.tolist(), positions, strict=True):
        found = [column[row].as_py() for column in cells]
        if found != [mapping.tweet_id, mapping.text]:
            raise RefusedDumpError(
                f"record {position + batch.first_row_number:,} is a second header with another order of "
                "columns; deliver the parts as separate files"
            )
    return positions


def _times(batch: RawBatch, mapping: ColumnMapping, ids: pa.Array) -> tuple[pa.Array, int]:
    """Return when each tweet was written, and the number of dates that no format fits."""
    times, unparsed = pa.nulls(len(ids), TIME), 0
    if mapping.created_at is not None:
        dates = batch.columns[mapping.created_at]
        if pa.types.is_timestamp(dates.type):
            times = possible_times(dates)
            unparsed = times.null_count - dates.null_count
        else:
            times = to_times(dates, mapping.date_formats)
            absent = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(dates.fill_null(""))), pa.array(MISSING))
            unparsed = times.null_count - pc.sum(absent).as_py() if times.null_count else 0
    if mapping.snowflake_ids and times.null_count:
        times = pc.coalesce(times, snowflake_times(ids))
    return times, unparsed


def count_alternatives(batch: RawBatch, mapping: ColumnMapping) -> npt.NDArray[np.int64] | None:
    """Return how many dates each of the alternative formats fits, and how many one of them fits."""
    if mapping.created_at is None or not mapping.date_alternatives:
        return None
    dates = batch.columns[mapping.created_at].cast(pa.string())
    fits = [
        to_times(dates, [name]).is_valid().to_numpy(zero_copy_only=False)
        for name in mapping.date_alternatives
    ]
    return np.array([np.count_nonzero(fit) for fit in [*fits, np.logical_or.reduce(fits)]])


def _languages(batch: RawBatch, mapping: ColumnMapping, count: int) -> pa.Array:
    if mapping.lang is None:
        return pa.nulls(count, pa.string())
    values = pc.utf8_lower(batch.columns[mapping.lang])
    return pc.if_else(pc.match_substring_regex(values, LANGUAGE), values, None)
