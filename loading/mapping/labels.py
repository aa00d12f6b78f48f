"""Labels: from the values of a dump to -1, 0, 1, and the questions about values that are not certain."""

from collections import Counter
from collections.abc import Mapping

import pyarrow as pa

from contracts.labels import LABELS
from contracts.statistics import MIN_ROWS_FOR_STATISTICS
from loading.mapping.model import ColumnMapping, Question, is_missing, label_key
from loading.vocabulary import LABEL_WORDS

WORDS = {word: label for label, words in LABEL_WORDS.items() for word in words}
NUMBERS = {f"{label:g}": int(label) for label in LABELS}
# More unknown values than this share of the labelled records are a question; fewer are quarantined as faults.
MAX_UNKNOWN_SHARE = 0.05
MIN_UNKNOWN_IN_CANONICAL = 10
MAX_LISTED_VALUES = 12
MAX_DISTINCT_VALUES = 1000
MEANINGS = "-1 negative, 0 neutral, 1 positive or null for none"


def find_label(value: str, labels: Mapping[str, int | None] | None) -> str:
    """Return a label value as a number in text, empty for no label, unchanged for an unknown value.

    Args:
        value: value in the dump.
        labels: meaning of the values that a user gave, by `label_key`.
    """
    key = label_key(value)
    if labels is not None and key in labels:
        label = labels[key]
        return "" if label is None else str(label)
    if is_missing(value):
        return ""
    if labels is None and key in NUMBERS:
        return key
    return str(WORDS[key]) if key in WORDS else f"?{value}"


def translate_labels(
    column: pa.Array, labels: Mapping[str, int | None] | None
) -> tuple[pa.DictionaryArray, Counter[str]]:
    """Return a column of label values as numbers in text, and how often each value of the dump occurs."""
    encoded = column.fill_null("").dictionary_encode()
    values = encoded.dictionary.to_pylist()
    translated = pa.array([find_label(value, labels) for value in values], pa.string())
    counts: Counter[str] = Counter()
    for pair in encoded.indices.value_counts().to_pylist():
        value = values[pair["values"]]
        if not is_missing(value) and len(counts) < MAX_DISTINCT_VALUES:
            counts[value.strip()] += pair["counts"]
    return pa.DictionaryArray.from_arrays(encoded.indices, translated), counts


def question_about_labels(
    values: Counter[str], mapping: ColumnMapping, *, canonical: bool, answered: bool
) -> Question | None:
    """Return the question about the label values of a whole dump, None if their meaning is certain.

    Args:
        values: how often each value occurs.
        mapping: the mapping with which the dump was read.
        canonical: whether the columns have the names of the platform, whose coding is known.
        answered: whether a user has mapped the values.
    """
    labelled = sum(values.values())
    if mapping.label is None or not labelled:
        return None
    listed = list_values(values)
    unknown = sum(
        count for value, count in values.items() if find_label(value, mapping.labels).startswith("?")
    )
    enough = unknown >= MIN_UNKNOWN_IN_CANONICAL if canonical else unknown > 0
    if unknown > MAX_UNKNOWN_SHARE * labelled and enough:
        return Question(
            "label",
            f"Which label has each value of the column {mapping.label!r}: {MEANINGS}? "
            f"The values are {listed}.",
            tuple(values),
        )
    if answered:
        return None
    found = {find_label(value, mapping.labels) for value in values}
    missing = [name for name in NUMBERS if name not in found]
    numeric = not any(label_key(value) in WORDS for value in values)  # a stray value explains nothing
    # Without -1 the numbers 0 and 1 may be negative and positive, or no and yes.
    if missing and (labelled >= MIN_ROWS_FOR_STATISTICS or (numeric and "-1" in missing and not canonical)):
        return Question(
            "label",
            f"The label {', '.join(missing)} never occurs in the column {mapping.label!r}. "
            f"Which label has each value: {MEANINGS}? The values are {listed}.",
            tuple(values),
        )
    return None


def list_values(values: Counter[str]) -> str:
    """Return the most frequent values with their counts."""
    listed = ", ".join(
        f"{value!r} ({count:,} times)" for value, count in values.most_common(MAX_LISTED_VALUES)
    )
    return listed + (
        f" and {len(values) - MAX_LISTED_VALUES} others" if len(values) > MAX_LISTED_VALUES else ""
    )
