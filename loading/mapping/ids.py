"""Ids of tweets: exact and damaged forms, row numbers, ids from texts, times in Snowflake ids."""

import hashlib
import re
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from loading.mapping.model import is_missing
from loading.validation.records import Mask, are_ids
from loading.validation.tweet_ids import TWEET_ID, cure

EXPONENT = re.compile(r"\s*\d(?:[.,]\d+)?[eE]\+?\d+\s*")
LONG_FLOAT = re.compile(r"\s*(\d{16,})\.0+\s*")
# Excel keeps 15 digits.
EXCEL_DIGITS = 15
MIN_ROUNDED_DIGITS = 17
# Float64 has 53 bits: ids of 61 bits become multiples of 128 or more. 1 in 128 of the exact ones is such a
# multiple.
FLOAT_MULTIPLE = 128
MAX_DAMAGED_SHARE = 0.05
MIN_ROUNDED_SHARE = 0.5
MIN_FLOAT_SHARE = 0.99
MIN_VALUES = 20
MIN_CONSECUTIVE_SHARE = 0.9
MAX_DENSE_FACTOR = 3
MIN_VALID_SHARE = 0.5
# Snowflake ids: since November 2010, milliseconds in the upper bits.
SNOWFLAKE_EPOCH_MS = 1288834974657
SNOWFLAKE_SHIFT = 22
MIN_SNOWFLAKE = 10**14  # February 2011
MIN_SNOWFLAKE_SHARE = 0.95
MAX_FUTURE_MS = 2 * 86_400_000
TEXT_ID_BYTES = 12


def cure_column(ids: pa.Array) -> tuple[pa.Array, Mask]:
    """Return a column of ids with the exact ones cured, and which of them are valid."""
    valid = are_ids(ids)
    # x123 and 123L are valid, but not the ids of other dumps.
    has_affix = pc.or_(pc.starts_with(ids, "x"), pc.ends_with(ids, "L")).to_numpy(zero_copy_only=False)
    is_cured = ~valid | has_affix
    if not is_cured.any():
        return ids, valid
    cured = pa.array([cure(value) for value in ids.filter(pa.array(is_cured)).to_pylist()], pa.string())
    valid[is_cured] = are_ids(cured)
    return pc.replace_with_mask(ids, pa.array(is_cured), cured), valid


def problem_of(values: Sequence[str | None]) -> str | None:
    """Return why the values of a column cannot be used as ids, None if they can."""
    present = [value.strip() for value in values if value is not None and not is_missing(value)]
    if len(present) < MIN_VALID_SHARE * len(values) or not present:
        return "most records have none"
    exponents = sum(EXPONENT.fullmatch(value) is not None for value in present)
    if exponents > MAX_DAMAGED_SHARE * len(present):
        example = next(value for value in present if EXPONENT.fullmatch(value))
        return f"Excel or another program has rounded them (for example {example})"
    floats = [match[1] for value in present if (match := LONG_FLOAT.fullmatch(value))]
    if len(floats) > MAX_DAMAGED_SHARE * len(present):
        return f"they were rounded to floating-point numbers (for example {floats[0]}.0)"
    cured = [cure(value) for value in present]
    valid = [value for value in cured if TWEET_ID.match(value)]
    if len(valid) < MIN_VALID_SHARE * len(present):
        example = next(value for value in present if not TWEET_ID.match(cure(value)))
        return f"they are no ids of 1 to 64 letters, digits, '_' or '-' (for example {example[:80]!r})"
    return _problem_of_numbers(
        [int(value) for value in valid if value.isascii() and value.isdigit()], len(valid)
    )


def _problem_of_numbers(numbers: Sequence[int], count: int) -> str | None:
    if len(numbers) < MIN_CONSECUTIVE_SHARE * count:
        return None
    long = [number for number in numbers if len(str(number)) >= MIN_ROUNDED_DIGITS]
    rounded = [number for number in long if number % 10 ** (len(str(number)) - EXCEL_DIGITS) == 0]
    if len(rounded) > MIN_ROUNDED_SHARE * len(numbers):
        return f"Excel has replaced their last digits by zeros (for example {rounded[0]})"
    multiples = sum(number % FLOAT_MULTIPLE == 0 for number in long)
    if len(long) >= MIN_VALUES and multiples >= MIN_FLOAT_SHARE * len(numbers):
        return f"they were rounded to floating-point numbers (for example {long[0]})"
    if _are_row_numbers(numbers):
        return f"they are row numbers ({', '.join(map(str, numbers[:3]))}, …), which other dumps use too"
    return None


def _are_row_numbers(numbers: Sequence[int]) -> bool:
    """Return whether numbers count rows: consecutive ones, or small ones that lie close together."""
    if len(numbers) == 1:
        return numbers[0] <= 1
    steps = np.diff(np.array([min(number, 2**62) for number in numbers]))
    if np.count_nonzero(steps == 1) >= MIN_CONSECUTIVE_SHARE * len(steps):
        return True
    distinct = len(set(numbers))
    span = max(numbers) - min(numbers) + 1
    return distinct >= MIN_VALUES and span <= MAX_DENSE_FACTOR * distinct and max(numbers) < 10**9


def text_ids(texts: pa.Array) -> pa.Array:
    """Return an id for each text: the same one for the same text, in every dump."""
    blake2b = hashlib.blake2b
    return pa.array(
        [blake2b(text.encode(), digest_size=TEXT_ID_BYTES).hexdigest() for text in texts.to_pylist()],
        pa.string(),
    )


def snowflake_times(ids: pa.Array) -> pa.Array:
    """Return the times in Snowflake ids (UTC), null for other ids."""
    numbers = pl.Series(values=ids).str.to_integer(dtype=pl.Int64, strict=False)
    milliseconds: npt.NDArray[np.int64] = (
        numbers.fill_null(0).to_numpy() >> SNOWFLAKE_SHIFT
    ) + SNOWFLAKE_EPOCH_MS
    valid = (numbers >= MIN_SNOWFLAKE).fill_null(value=False).to_numpy()
    valid &= milliseconds < time.time() * 1000 + MAX_FUTURE_MS
    return pa.array(milliseconds * 1000, pa.timestamp("us", "UTC"), mask=~valid)


def are_snowflakes(values: Sequence[str | None]) -> bool:
    """Return whether nearly all ids of a sample are Snowflake ids."""
    ids = pa.array(
        [cure(value) for value in values if value is not None and not is_missing(value)], pa.string()
    )
    return len(ids) > 0 and len(ids) - snowflake_times(ids).null_count >= MIN_SNOWFLAKE_SHARE * len(ids)
