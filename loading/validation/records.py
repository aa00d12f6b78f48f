"""Validate the columns of a group of records with Arrow. The rules are those of `record_rules`."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contracts.tables import QUARANTINE, TWEETS_RAW
from loading.formats.csv_records import CR, LF
from loading.tables.schemas import arrow_schema
from loading.validation.record_rules import is_rejected_by, parse_agreement, parse_label
from loading.validation.tweet_ids import MAX_ID_CHARACTERS

ROW_NUMBER = arrow_schema(QUARANTINE).field("row_number")
# The columns of tweets_raw that come from a record, and those of quarantine; without those of the whole dump.
TWEETS = pa.schema([ROW_NUMBER, *list(arrow_schema(TWEETS_RAW))[:6]])
INVALID_RECORDS = pa.schema(list(arrow_schema(QUARANTINE))[1:])

NOT_UTF8 = "not UTF-8; invalid bytes are written as \\xNN"
MALFORMED_QUOTES = "there is text after a closing quote"
UNCLOSED_QUOTE = "a quote is opened and never closed"
# Matches everything that record_rules.parse_number accepts, in RE2's syntax.
NUMBER_TEXT = r"^[\s\pZ]*[+-]?[0-9][0-9.eE+-]*[\s\pZ]*$"
MAX_NUMBER_BYTES = 32  # a double needs at most 24 characters

Mask = npt.NDArray[np.bool_]


def decode(record: bytes) -> str:
    r"""Return `record` as a string, with \xNN for bytes that are not UTF-8."""
    return record.decode("utf-8", "backslashreplace")


def validate_values(
    texts: pa.Array, labels: pa.DictionaryArray, agreements: pa.DictionaryArray
) -> tuple[Mask, list[pa.Array]]:
    """Return which rows have a valid text, label and agreement, and the columns label and agreement.

    The values of invalid rows are undefined.
    """
    # A text must not be white space only. Arrow's definition of white space is Python's (Layout.find_error).
    valid = ~_to_numpy(pc.or_(pc.equal(texts, ""), pc.utf8_is_space(texts)))
    columns = []
    for encoded, parse in ((labels, parse_label), (agreements, parse_agreement)):
        # There are few distinct values, so only these are parsed.
        distinct = encoded.dictionary.to_pylist()
        is_valid = np.array([not is_rejected_by(parse, value) for value in distinct], dtype=bool)
        values = [parse(value) if ok else None for value, ok in zip(distinct, is_valid, strict=True)]
        columns.append(pa.array(values, pa.float64()).take(encoded.indices))
        valid &= is_valid[_to_numpy(encoded.indices)]
    return valid, columns


def find_number_texts(texts: pa.Array) -> npt.NDArray[np.int64]:
    """Return the rows whose text is a number.

    The last piece of a split record may look like a tweet whose text is a number. The record before it shows
    the error.
    """
    short = np.flatnonzero(_to_numpy(pc.binary_length(texts)) <= MAX_NUMBER_BYTES)
    is_number = _to_numpy(pc.match_substring_regex(texts.take(pa.array(short)), NUMBER_TEXT))
    found: npt.NDArray[np.int64] = short[is_number]
    return found


def find_long_texts(texts: pa.Array, max_characters: int) -> npt.NDArray[np.int64]:
    """Return the rows whose text has more characters."""
    long = np.flatnonzero(_to_numpy(pc.binary_length(texts)) > max_characters)
    found: npt.NDArray[np.int64] = long[
        _to_numpy(pc.utf8_length(texts.take(pa.array(long)))) > max_characters
    ]
    return found


def count_line_breaks(texts: pa.Array) -> npt.NDArray[np.int64]:
    """Return the number of line breaks (LF, CRLF or CR) in each text."""
    breaks = _to_numpy(pc.count_substring(texts, "\n")).astype(np.int64)
    returns = _to_numpy(pc.count_substring(texts, "\r"))
    if returns.any():
        breaks += returns - _to_numpy(pc.count_substring(texts, "\r\n"))
    return breaks


def count_all_line_breaks(texts: pa.Array) -> int:
    """Return the number of line breaks in all texts, faster than by text."""
    _, _, data = texts.buffers()
    bytes_ = np.frombuffer(data or b"", np.uint8)
    is_return = bytes_ == CR
    breaks = np.count_nonzero(bytes_ == LF) + np.count_nonzero(is_return)
    return int(breaks - np.count_nonzero(is_return[:-1] & (bytes_[1:] == LF)) if is_return.any() else breaks)


def are_ids(fields: pa.Array) -> Mask:
    """Return which fields match tweet_ids.TWEET_ID."""
    valid = _to_numpy(pc.ascii_is_alnum(fields))
    # Most ids have only letters and digits. This test is ten times as fast as the expression.
    others = np.flatnonzero(~valid | (_to_numpy(pc.binary_length(fields)) > MAX_ID_CHARACTERS))
    expression = rf"^[0-9A-Za-z_-]{{1,{MAX_ID_CHARACTERS}}}$"
    valid[others] = _to_numpy(pc.match_substring_regex(fields.take(others), expression))
    return valid


def _to_numpy(column: pa.Array) -> np.ndarray:
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    return values
