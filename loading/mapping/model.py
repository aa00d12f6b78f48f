"""The mapping of a dump's columns to tweets, the questions about it, and the form in which users give it."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from contracts.exit_status import InputError
from contracts.labels import LABELS
from loading.vocabulary import MISSING

# Instead of a column: ids are derived from the texts.
TEXT_ID = "@text"
Subject = Literal["header", "tweet_id", "text", "label", "created_at"]
SUBJECTS: tuple[Subject, ...] = ("header", "tweet_id", "text", "label", "created_at")
MAX_LISTED_COLUMNS = 30
# Attributes of a mapping that are not parts of `--mapping`.
DERIVED = ("date_formats", "snowflake_ids", "date_alternatives")


@dataclass(frozen=True)
class Question:
    """A question that a user must answer before a dump is loaded.

    Attributes:
        subject: key of the answer in the mapping.
        text: the question.
        options: values that answer it.
    """

    subject: Subject
    text: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnMapping:
    """Where the values of a tweet stand in a dump.

    Attributes:
        tweet_id: column of the ids, or TEXT_ID.
        text: column of the texts.
        label: column of the labels.
        labels: label of each value, as a user gave it; None if the vocabulary applies.
        agreement, created_at, lang: columns.
        date_formats: formats of `created_at`; the first that fits a value is used.
        snowflake_ids: whether the ids contain the time, for tweets without a date.
        date_alternatives: formats that fit the sample equally well; the whole dump may decide between them.
    """

    tweet_id: str
    text: str
    label: str | None = None
    labels: Mapping[str, int | None] | None = None
    agreement: str | None = None
    created_at: str | None = None
    date_formats: tuple[str, ...] = ()
    lang: str | None = None
    snowflake_ids: bool = False
    date_alternatives: tuple[str, ...] = ()

    def columns(self) -> list[str]:
        """Return the columns that are read, each once."""
        roles = (self.tweet_id, self.text, self.label, self.agreement, self.created_at, self.lang)
        return list(dict.fromkeys(name for name in roles if name is not None and name != TEXT_ID))

    def as_json(self) -> dict[str, Any]:
        """Return the mapping in the form that `--mapping` accepts.

        Several formats of dates are omitted, because it accepts one. They are detected again.
        """
        values = {name: value for name, value in asdict(self).items() if name not in DERIVED}
        return values | {"date_format": self.date_formats[0] if len(self.date_formats) == 1 else None}


@dataclass(frozen=True)
class GivenMapping:
    """What a user has said about a dump; every part may be missing.

    Attributes:
        parts: the parts by name, as in `--mapping`.
    """

    parts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the mapping in a JSON object.

        Raises:
            InputError: it is not a mapping. The message names the part.
        """
        try:
            parts = json.loads(text)
        except ValueError as error:
            raise InputError(f"the mapping is not JSON: {error}") from None
        if not isinstance(parts, dict):
            raise InputError('the mapping is not a JSON object like {"text": "tweet", "tweet_id": "@text"}')
        for name, value in parts.items():
            expected = _EXPECTED.get(name)
            if expected is None:
                raise InputError(
                    f"the mapping has the unknown part {name!r}; known are {', '.join(_EXPECTED)}"
                )
            if not expected[0](value):
                raise InputError(f"the mapping's {name!r} must be {expected[1]}, not {json.dumps(value)}")
        return cls({name: value for name, value in parts.items() if value is not None or name in NULLABLE})

    def check_columns(self, header: Sequence[str]) -> None:
        """Raise InputError if a column is not in the header."""
        for role in ("tweet_id", "text", "label", "agreement", "created_at", "lang"):
            name = self.parts.get(role)
            is_derived = role == "tweet_id" and name == TEXT_ID
            if name is not None and name not in header and not is_derived:
                listed = ", ".join(map(repr, header[:MAX_LISTED_COLUMNS]))
                raise InputError(f"the mapping's {role} names the column {name!r}; the dump has {listed}")

    @property
    def header(self) -> list[str] | None:
        """Return the names of the columns of a dump without header."""
        return self.parts.get("header")

    def has(self, part: str) -> bool:
        """Return whether the user has given a part; None may be given for the label."""
        return part in self.parts

    def merged(self, earlier: "GivenMapping | None") -> "GivenMapping":
        """Return this mapping with the parts of an earlier one that it does not have.

        Meanings of labels and the format of dates are not inherited if this mapping names another column.
        """
        if earlier is None:
            return self
        changed = {
            part
            for column, part in DEPENDENT_PARTS.items()
            if self.has(column) and self.parts[column] != earlier.parts.get(column)
        }
        inherited = {part: value for part, value in earlier.parts.items() if part not in changed}
        return GivenMapping({**inherited, **self.parts})


# A user may say that there is none.
NULLABLE = ("label", "agreement", "created_at", "lang")
# Parts that describe the values of a column, by the part that names the column.
DEPENDENT_PARTS = {"label": "labels", "created_at": "date_format"}


def label_key(value: str) -> str:
    """Return the form in which label values are compared.

    >>> label_key(" Negative "), label_key("1.0"), label_key("-1,0"), label_key("2")
    ('negative', '1', '-1', '2')
    """
    value = value.strip().casefold()
    if re.fullmatch(r"[+-]?\d+(?:[.,]\d*)?(?:e[+-]?\d+)?", value):
        return f"{float(value.replace(',', '.')) + 0.0:g}"
    return value


def is_missing(value: str | None) -> bool:
    """Return whether a value means that there is none."""
    return value is None or value.strip().casefold() in MISSING


def _is_column_or_null(value: object) -> bool:
    return value is None or (isinstance(value, str) and value not in ("", TEXT_ID))


def _is_id_or_null(value: object) -> bool:
    return value == TEXT_ID or _is_column_or_null(value)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


def _are_labels(value: object) -> bool:
    return value is None or (
        isinstance(value, dict)
        # bool is a subclass of int, and -1.0 is equal to -1.
        and all(label is None or (type(label) is int and label in LABELS) for label in value.values())
    )


_EXPECTED: dict[str, tuple[Callable[[object], bool], str]] = {
    "header": (lambda value: value is None or _are_names(value), "a list of column names"),
    "tweet_id": (_is_id_or_null, f"a column or {TEXT_ID}"),
    "text": (_is_column_or_null, "a column"),
    "label": (_is_column_or_null, "a column or null"),
    "labels": (_are_labels, 'an object from label values to -1, 0, 1 or null, like {"0": -1, "4": 1}'),
    "agreement": (_is_column_or_null, "a column or null"),
    "created_at": (_is_column_or_null, "a column or null"),
    "date_format": (_is_column_or_null, "a format like %d/%m/%Y"),
    "lang": (_is_column_or_null, "a column or null"),
}
