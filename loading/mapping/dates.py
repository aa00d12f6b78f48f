"""Dates: detection of the format of a column, and conversion to times in UTC.

Values are normalised first (`T`, `Z`, fractions, zone names, separators), so that few formats cover what
programs write. Polars parses; a time without a zone is taken as UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa

from loading.vocabulary import (
    AMBIGUOUS_DATE_FORMATS,
    DATE_FORMATS,
    MISSING,
    TIME_SUFFIXES,
    TIME_ZONES,
)

MIN_PARSED_SHARE = 0.5
MAX_DATE_WORDS = 5  # Monday, March 01, 2021 at 8:00 AM EST
TIME = pl.Datetime("us", "UTC")
FIRST_TWEET = datetime(2006, 3, 1, tzinfo=UTC)
MAX_FUTURE = timedelta(days=2)
ISO_DATE = "%Y-%m-%d"
PLAIN_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%d %H:%M:%S+00:00")
EXCEL_EPOCH_DAYS = 25_569  # from 30 December 1899 to 1970
# Formats of numbers: an expression for the values, microseconds for each unit, and the number for 1970.
NUMBER_FORMATS: dict[str, tuple[str, float, int]] = {
    "epoch seconds": (r"^\d{9,10}(?:\.\d+)?$", 1e6, 0),
    "epoch milliseconds": (r"^\d{12,13}(?:\.0)?$", 1e3, 0),
    "epoch microseconds": (r"^\d{15,16}(?:\.0)?$", 1, 0),
    "epoch nanoseconds": (r"^\d{18,19}$", 1e-3, 0),
    "Excel days": (r"^[345]\d{4}(?:[.,]\d+)?$", 86_400e6, EXCEL_EPOCH_DAYS),
}


@dataclass(frozen=True)
class DateFormats:
    """The formats of a column of dates.

    Attributes:
        formats: formats that fit, the most frequent first.
        alternatives: two or three formats that fit equally well but give different dates.
        parsed_share: share of the values that `formats` parse.
    """

    formats: tuple[str, ...]
    alternatives: tuple[str, ...]
    parsed_share: float


def normalise(values: pl.Series) -> pl.Series:
    """Return dates with blanks between date, time and offset, `-` between numbers, and numeric offsets."""
    values = (
        values.str.strip_chars()
        .str.replace(r"^(\d{1,4}-\d{1,2}-\d{1,4})[T_](\d)", "${1} ${2}")
        .str.replace(r"^(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})(,? +|$)", "${1}-${2}-${3} ")
        .str.replace(r"(:\d\d)[.,]\d+", "${1}")
        .str.replace(r"(:\d\d) ?Z$", "${1} +0000")
        .str.replace(r"(:\d\d) ?([+-]\d\d)(?::?(\d\d))?$", "${1} ${2}${3}")
        .str.replace(r"(:\d\d [+-]\d\d)$", "${1}00")
        .str.strip_chars()
    )
    if not values.str.contains(r":\d\d(?: [AP]M)? ?[A-Z]{3,4}\b").any():
        return values
    for name, offset in TIME_ZONES.items():
        values = values.str.replace(rf"(:\d\d(?: [AP]M)?) ?{name}\b", f"${{1}} {offset}")
    return values


def parse(values: pl.Series, formats: Sequence[str]) -> pl.Series:
    """Return the times (UTC) of normalised values, null where no format fits or Twitter did not exist.

    A format without directives for hours also fits a date that a time follows.
    """
    complete = [date_format + suffix for date_format in formats for suffix in _suffixes(date_format)]
    return _parse_complete(values, complete)


def _parse_complete(values: pl.Series, formats: Sequence[str]) -> pl.Series:
    result = pl.Series(values=[None], dtype=TIME).new_from_index(0, len(values))
    open_rows = values.is_not_null().arg_true()
    for date_format in formats:
        if not len(open_rows):
            break
        times = _parse_one(values.gather(open_rows), date_format)
        found = times.is_not_null()
        if found.any():
            result = result.scatter(open_rows.filter(found), times.filter(found))
            open_rows = open_rows.filter(~found)
    return result


def _suffixes(date_format: str) -> tuple[str, ...]:
    has_time = any(part in date_format for part in ("%H", "%I", "%M")) or date_format in NUMBER_FORMATS
    return ("",) if has_time else TIME_SUFFIXES


def _parse_one(values: pl.Series, date_format: str) -> pl.Series:
    if date_format in NUMBER_FORMATS:
        pattern, unit, origin = NUMBER_FORMATS[date_format]
        numbers = values.set(~values.str.contains(pattern).fill_null(value=True), None)
        numbers = numbers.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
        times = ((numbers - origin) * unit).round().cast(pl.Int64, strict=False).cast(TIME)
        times = times.dt.round("1s") if origin else times  # Excel's days have about six decimals
    else:
        times = values.str.to_datetime(date_format, strict=False, time_unit="us")
        if times.dtype != TIME:
            times = times.dt.replace_time_zone("UTC")
    return keep_possible(times)


def keep_possible(times: pl.Series) -> pl.Series:
    """Return times in UTC, null where Twitter did not exist or that are in the future."""
    latest = datetime.now(UTC) + MAX_FUTURE
    return times.set((times < FIRST_TWEET) | (times > latest), None)


def possible_times(column: pa.Array) -> pa.Array:
    """Return a column of timestamps in UTC, null where Twitter did not exist or that are in the future."""
    return keep_possible(pl.Series(values=column, dtype=TIME)).to_arrow()


def to_times(column: pa.Array, formats: Sequence[str]) -> pa.Array:
    """Return a column of dates as timestamps in UTC."""
    values = pl.Series(values=column, dtype=pl.String)
    # Most dumps have one of these forms, which need no regular expressions.
    result = _parse_complete(values, PLAIN_FORMATS) if formats and formats[0] == ISO_DATE else None
    if result is None:
        return parse(normalise(values), [normalise_format(date_format) for date_format in formats]).to_arrow()
    rows = result.is_null().arg_true()
    if len(rows):
        rest = parse(
            normalise(values.gather(rows)), [normalise_format(date_format) for date_format in formats]
        )
        result = result.scatter(rows, rest)
    return result.to_arrow()


def normalise_format(date_format: str) -> str:
    """Return a user's format in the form of normalised values.

    >>> normalise_format("%d/%m/%Y"), normalise_format("%Y-%m-%dT%H:%M:%SZ")
    ('%d-%m-%Y', '%Y-%m-%d %H:%M:%S %z')
    """
    if date_format in NUMBER_FORMATS:
        return date_format
    numbers = date_format.replace("/", "-").replace("T%H", " %H").replace(".%f", "").replace("%.f", "")
    if numbers.count("%") >= 3 and numbers[:2] in ("%d", "%m", "%y", "%Y"):
        head = numbers[:8].replace(".", "-")
        numbers = head + numbers[8:]
    numbers = numbers.replace("%SZ", "%S %z").replace("%S%z", "%S %z").replace("%T", "%H:%M:%S")
    for name in ("UTC", "GMT", "%Z"):
        numbers = numbers.replace(name, "%z")
    return numbers


def detect_formats(values: Sequence[str | None], reference: Sequence[object] | None = None) -> DateFormats:
    """Return the formats of a sample of dates.

    Args:
        values: values of the column.
        reference: the true times of the same records, for example from Snowflake ids; null where unknown.
            They decide between formats that fit equally well.
    """
    series = pl.Series(values=list(values), dtype=pl.String)
    absent = series.is_null() | series.str.strip_chars().str.to_lowercase().is_in(list(MISSING))
    present = normalise(series.filter(~absent))
    # Hundreds of formats are tried: texts are recognised before.
    if not (present.str.contains(r"\d") & (present.str.count_matches(r"\pL{2,}") <= MAX_DATE_WORDS)).any():
        return DateFormats((), (), 0.0)
    counts = {date_format: _count(present, date_format) for date_format in DATE_FORMATS}
    formats = sorted((name for name, count in counts.items() if count), key=lambda name: -counts[name])
    alternatives: tuple[str, ...] = ()
    for group in AMBIGUOUS_DATE_FORMATS:
        fitting = {date_format: _count(present, date_format) for date_format in group}
        most = max(fitting.values())
        best = [name for name, count in fitting.items() if count == most and count]
        if not best:
            continue
        both = len(present) - parse(present, [name for name, count in fitting.items() if count]).null_count()
        if both > most and len(best) == 1:
            best = [name for name, count in fitting.items() if count]  # a mixture of two orders
        if len(best) > 1 and reference is not None:
            best = _closest(present, best, pl.Series(values=reference).filter(~absent)) or best
        if len(best) > 1 and not _agree(present, best):
            alternatives = tuple(best)
        formats += best[:1]
    parsed = len(present) - parse(present, formats).null_count()
    return DateFormats(tuple(formats), alternatives, parsed / len(present))


def _count(values: pl.Series, date_format: str) -> int:
    return len(values) - parse(values, [date_format]).null_count()


def _agree(values: pl.Series, formats: Sequence[str]) -> bool:
    """Return whether all formats give the same dates."""
    first, *others = [parse(values, [date_format]) for date_format in formats]
    return all(first.eq_missing(other).all() for other in others)


def _closest(values: pl.Series, formats: Sequence[str], reference: pl.Series) -> list[str]:
    """Return the format whose times are within two days of the reference for nearly all values."""
    found = [name for name in formats if _are_close(parse(values, [name]), reference)]
    return found if len(found) == 1 else []


def _are_close(times: pl.Series, reference: pl.Series) -> bool:
    distance = (times - reference).dt.total_hours().abs().drop_nulls()
    return len(distance) > 0 and int((distance <= 48).sum()) >= 0.95 * len(distance)
