"""Decide which records of a dump are valid tweets.

A record that breaks a rule goes to `quarantine` with the reason that `Layout.find_error` returns. If an
unquoted line break has split a record, all pieces go to `quarantine`: see `find_split_records`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from contracts.labels import LABELS
from loading.validation.tweet_ids import TWEET_ID, cure

NUMBER = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,3})?\Z")


class RecordError(NamedTuple):
    """Why a record goes to `quarantine`. `other_record` is a position that completes the reason."""

    reason: str
    other_record: int | None = None


def parse_number(field: str) -> float | None:
    """Return the number in a field, None for an empty field. Raise ValueError for anything else.

    >>> parse_number("0.0"), parse_number(" -1 "), parse_number("")
    (0.0, -1.0, None)
    """
    field = field.strip()
    if not field:
        return None
    if not NUMBER.match(field):
        raise ValueError(field)
    return float(field)


def parse_label(field: str) -> float | None:
    """Return the label in a field, None for an empty field. Raise ValueError for anything else."""
    label = parse_number(field)
    if label is not None and label not in LABELS:
        raise ValueError(field)
    # Adding 0.0 turns -0.0 into 0.0: the two are equal, but joins treat them as different values.
    return None if label is None else label + 0.0


def parse_agreement(field: str) -> float | None:
    """Return the agreement in a field, None for an empty field. Raise ValueError unless it is in [0, 1]."""
    agreement = parse_number(field)
    if agreement is not None and not 0.0 <= agreement <= 1.0:
        raise ValueError(field)
    return None if agreement is None else agreement + 0.0


def is_rejected_by(parse: Callable[[str], float | None], field: str) -> bool:
    """Return whether `parse` raises ValueError for a field."""
    try:
        parse(field)
    except ValueError:
        return True
    return False


@dataclass(frozen=True)
class Layout:
    """Positions of the columns in a dump, from 0. A position is None if the dump does not have the column."""

    columns: tuple[str, ...]
    tweet_id: int
    text: int
    label: int | None
    agreement: int | None

    def find_error(self, fields: list[str]) -> str | None:
        """Return why a record with these fields is invalid, None if it is valid."""
        if len(fields) != len(self.columns):
            return f"{len(fields)} fields instead of {len(self.columns)}"
        if not fields[self.tweet_id].strip():
            return "tweet_id is missing"
        if not TWEET_ID.match(fields[self.tweet_id]):
            return "tweet_id is not an id (1 to 64 letters, digits, '_' or '-')"
        if not fields[self.text].strip():
            return "text is missing"
        if self.label is not None and is_rejected_by(parse_label, fields[self.label]):
            return "label is not -1, 0 or 1"
        if self.agreement is not None and is_rejected_by(parse_agreement, fields[self.agreement]):
            return "agreement is not between 0 and 1"
        return None

    def looks_like_tail(self, fields: list[str]) -> bool:
        """Return whether this may be the last piece of a record that a line break in its text has split.

        A tail has the rest of the text in its first column, followed by the columns after the text. So its
        last columns, as many as there are before the text, are empty or absent.
        """
        if (
            not self.text
            or len(fields) > len(self.columns)
            or not fields[0].strip()
            or any(fields[len(self.columns) - self.text :])
        ):
            return False
        # If the id is the first column, several words in its position are sufficient. A single word may be an
        # id. Then label and agreement must follow in shifted positions.
        return self._has_no_id(fields) or self._has_shifted_labels(fields)

    def looks_like_head(self, fields: list[str]) -> bool:
        """Return whether this may be the first piece of a split record: complete up to its text."""
        if len(fields) <= max(self.text, self.tweet_id) or len(fields) > len(self.columns):
            return False
        return bool(TWEET_ID.match(cure(fields[self.tweet_id]))) and not any(fields[self.text + 1 :])

    def looks_like_middle(self, fields: list[str]) -> bool:
        """Return whether this may be a line between head and tail: text in the first column only."""
        return (
            bool(fields[0].strip())
            and self._has_no_id(fields)
            and not any(fields[1:])
            and len(fields) <= len(self.columns)
        )

    def may_continue(self, previous: list[str], fields: list[str]) -> bool:
        """Return whether `fields` may continue the split record that `previous` is a piece of."""
        return self.looks_like_tail(fields) and (
            self.looks_like_head(previous) or self.looks_like_middle(previous)
        )

    def _has_shifted_labels(self, fields: list[str]) -> bool:
        if self.label is None or self.agreement is None:
            return False
        shifted = ((self.label - self.text, parse_label), (self.agreement - self.text, parse_agreement))
        return all(
            0 < i < len(fields) and fields[i].strip() and not is_rejected_by(parse, fields[i])
            for i, parse in shifted
        )

    def _has_no_id(self, fields: list[str]) -> bool:
        """Return whether a piece without the first columns has no id in its position."""
        if len(fields) <= self.tweet_id:
            return True
        value = fields[self.tweet_id]
        # In other positions a later column follows, whose numbers are not ids: 1.0 is an agreement.
        return not TWEET_ID.match(value if self.tweet_id else cure(value))


def find_split_records(
    layout: Layout, fields_of: Callable[[int], list[str]], suspects: list[int]
) -> dict[int, RecordError]:
    """Return the errors of records that unquoted line breaks have split, by position, for each piece.

    Args:
        layout: columns of the dump.
        fields_of: returns the fields of a record.
        suspects: positions of records that may be a tail, ascending. The record before each is examined too.
    """
    pieces: dict[int, RecordError] = {}
    for i in suspects:
        fields = fields_of(i)
        if i == 0 or not layout.looks_like_tail(fields):
            continue
        before = fields_of(i - 1)
        continues_a_piece = i - 1 in pieces and layout.looks_like_middle(before)
        if not continues_a_piece and not layout.looks_like_head(before):
            continue
        if not continues_a_piece:
            pieces[i - 1] = RecordError("cut by an unquoted line break: its text goes on in record", i)
        pieces[i] = RecordError(
            "not a record of its own: after an unquoted line break it continues record", i - 1
        )
    return pieces
