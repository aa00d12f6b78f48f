"""Choice of the columns of a tweet by their names and sampled values."""

import re
from collections.abc import Mapping, Sequence

from loading.column_names import count_known_names, plain_name
from loading.mapping import ids
from loading.mapping.dates import detect_formats
from loading.mapping.labels import NUMBERS, WORDS
from loading.mapping.model import is_missing, label_key
from loading.vocabulary import (
    AGREEMENT_COLUMNS,
    ID_COLUMNS,
    LABEL_COLUMNS,
    LABEL_SUFFIX,
    LANG_COLUMNS,
    TEXT_TIERS,
    TIME_COLUMNS,
)

Sample = Mapping[str, Sequence[str | None]]

MIN_TEXT_SHARE = 0.5
# Mean length and share of values with blanks from which a column without a known name may contain texts.
MIN_TEXT_LENGTH = 20
MAX_HEADER_FIELD = 60
MAX_LABEL_VALUES = 10
ONE_HOT_VALUES = {"0", "1", "true", "false"}
DATA_FIELD = re.compile(
    r"\s*(?:[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?|.*https?://.*|.*(?:^|\s)[@#]\w+.*)\s*", re.DOTALL
)


def by_names(header: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the columns of the header with one of the names, in the order of the names."""
    columns: dict[str, list[str]] = {}
    for column in header:
        columns.setdefault(plain_name(column), []).append(column)
    return [column for name in names for column in columns.get(name, [])]


def id_columns(header: Sequence[str]) -> list[str]:
    """Return the columns whose names say that they contain ids of tweets.

    Those of a database (`_id` of MongoDB and Elasticsearch) come last.
    """
    return sorted(by_names(header, ID_COLUMNS), key=lambda column: column.startswith("_"))


def label_columns(header: Sequence[str]) -> list[str]:
    """Return the columns whose names say that they contain labels."""
    named = by_names(header, LABEL_COLUMNS)
    return named or [column for column in header if column.casefold().endswith(LABEL_SUFFIX)]


def one_hot_columns(sample: Sample) -> list[str]:
    """Return columns that are named like labels and contain 0 or 1, or nothing for fewer than two labels."""
    named = [column for column in sample if label_key(column) in WORDS]
    found = [c for c in named if {label_key(v) for v in sample[c] if v is not None} <= ONE_HOT_VALUES]
    return found if len({WORDS[label_key(column)] for column in found}) > 1 else []


def text_columns(sample: Sample) -> list[str]:
    """Return the columns of the first tier that has texts; several if their texts differ."""
    for tier in TEXT_TIERS:
        columns = by_names(list(sample), tier)
        if tier != TEXT_TIERS[0]:  # the platform's own names need no look at the values
            columns = [column for column in columns if contains_text(sample[column])]
        if columns:
            return columns if any(sample[c] != sample[columns[0]] for c in columns) else columns[:1]
    return []


def contains_text(values: Sequence[str | None]) -> bool:
    """Return whether most values have a letter. Without any value the name of the column decides."""
    present = [value for value in values if not is_missing(value)]
    letters = sum(any(character.isalpha() for character in value or "") for value in present)
    return not present or letters >= MIN_TEXT_SHARE * len(present)


def text_like_columns(sample: Sample) -> list[str]:
    """Return the columns that may contain texts by their values, the longest texts first."""
    lengths: dict[str, float] = {}
    for column, values in sample.items():
        present = [value for value in values if value is not None and not is_missing(value)]
        sentences = [value for value in present if re.search(r"\w\s+\w", value) or not value.isascii()]
        mean = sum(map(len, present)) / max(len(present), 1)
        is_text = present and len(sentences) >= MIN_TEXT_SHARE * len(present) and mean >= MIN_TEXT_LENGTH
        if is_text and detect_formats(present[:100]).parsed_share < MIN_TEXT_SHARE:
            lengths[column] = mean
    return sorted(lengths, key=lambda column: -lengths[column])


def time_columns(header: Sequence[str]) -> list[str]:
    """Return the columns whose names say that they contain the time of a tweet."""
    return by_names(header, TIME_COLUMNS)


def first_of(header: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the first column with one of the names."""
    return next(iter(by_names(header, names)), None)


def agreement_column(header: Sequence[str]) -> str | None:
    """Return the column of the agreement of annotators."""
    return first_of(header, AGREEMENT_COLUMNS)


def lang_column(header: Sequence[str]) -> str | None:
    """Return the column of the language."""
    return first_of(header, LANG_COLUMNS)


def is_header(record: Sequence[str]) -> bool:
    """Return whether the first record names columns: it has a known name, or no field like data."""
    if count_known_names(record):
        return True
    return not any(
        len(field) > MAX_HEADER_FIELD
        or DATA_FIELD.fullmatch(field)
        or label_key(field) in WORDS
        or re.fullmatch(r"[A-Z]*\d+[A-Z\d]*", field.strip())
        or len(field.split()) > 4
        or detect_formats([field]).formats
        for field in record
        if field.strip()
    )


def guess_header(sample: Sample) -> list[str]:
    """Return names for the columns of a dump without header, by their values."""
    names = {column: f"column_{i}" for i, column in enumerate(sample, start=1)}
    texts = text_like_columns(sample)
    roles = {texts[0]: "text"} if texts else {}
    for column, values in sample.items():
        present = [value for value in values if value is not None and not is_missing(value)]
        if column in roles or not present:
            continue
        distinct = {label_key(value) for value in present}
        # Snowflake ids look like nanoseconds too.
        if "tweet_id" not in roles.values() and ids.are_snowflakes(present):
            roles[column] = "tweet_id"
        elif "created_at" not in roles.values() and (
            detect_formats(present[:100]).parsed_share > MIN_TEXT_SHARE
        ):
            roles[column] = "created_at"
        elif "label" not in roles.values() and len(distinct) <= MAX_LABEL_VALUES and _are_labels(distinct):
            roles[column] = "label"
    return list({**names, **roles}.values())


def _are_labels(distinct: set[str]) -> bool:
    return all(key in WORDS or key in NUMBERS or re.fullmatch(r"[0-9]", key) for key in distinct)
