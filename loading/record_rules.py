"""Which columns a dump has, and which of its records are tweets.

A record that breaks a rule goes to `quarantine` with the reason that `Layout.fault` gives. Where an unquoted line break has cut a record in two,
both pieces are quarantined: see `broken_pieces`.
"""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass

TEXT_COLUMNS = ("safe_text", "safe_tweet")
LONGEST_ID = 64
TWEET_ID = re.compile(rf"[0-9A-Za-z_-]{{1,{LONGEST_ID}}}\Z")
NUMBER = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,3})?\Z")
LABELS = (-1.0, 0.0, 1.0)


class RefusedDumpError(ValueError):
    """The dump as a whole cannot be loaded; nothing of it was written."""


def split_fields(record: str) -> list[str]:
    """The fields of one CSV record."""
    # A record holds a whole text, whatever its length; csv's default limit is for files that nobody has looked at.
    csv.field_size_limit(2**31 - 1)
    # csv.reader takes lines; one string with all the line breaks of a quoted field is a line to it.
    return next(csv.reader([record]), [""])


def parse_number(field: str) -> float | None:
    """The number in `field`, None for an empty one. Raises ValueError for anything else.

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
    """The label in `field`, None for an empty one. Raises ValueError for anything that is no label."""
    label = parse_number(field)
    if label is not None and label not in LABELS:
        raise ValueError(field)
    # Not -0.0: it equals 0.0 but is another value to a join.
    return None if label is None else label + 0.0


def parse_agreement(field: str) -> float | None:
    """The agreement in `field`, None for an empty one. Raises ValueError for anything outside [0, 1]."""
    agreement = parse_number(field)
    if agreement is not None and not 0.0 <= agreement <= 1.0:
        raise ValueError(field)
    return None if agreement is None else agreement + 0.0


def _is_broken_by(parse: Callable[[str], float | None], field: str) -> bool:
    try:
        parse(field)
    except ValueError:
        return True
    return False


@dataclass(frozen=True)
class Layout:
    """Where the columns of a dump stand, from 0; None for one that the dump does not have."""

    columns: tuple[str, ...]
    tweet_id: int
    text: int
    label: int | None
    agreement: int | None

    @property
    def notes(self) -> list[str]:
        """What the operator should know about the columns."""
        known = {self.tweet_id, self.text, self.label, self.agreement}
        ignored = [name for i, name in enumerate(self.columns) if i not in known]
        missing = [
            name for name, place in (("label", self.label), ("agreement", self.agreement)) if place is None
        ]
        return [f"column {name!r} is ignored" for name in ignored] + [
            f"the dump has no column {name!r}" for name in missing
        ]

    def fault(self, fields: list[str]) -> str | None:
        """Why a record of these fields is no tweet; None where it is one."""
        if len(fields) != len(self.columns):
            return f"{len(fields)} fields instead of {len(self.columns)}"
        if not fields[self.tweet_id].strip():
            return "tweet_id is missing"
        if not TWEET_ID.match(fields[self.tweet_id]):
            return "tweet_id is no id: an id has 1 to 64 letters, digits, '_' or '-'"
        if not fields[self.text].strip():
            return "text is missing"
        if self.label is not None and _is_broken_by(parse_label, fields[self.label]):
            return "label is not -1, 0 or 1"
        if self.agreement is not None and _is_broken_by(parse_agreement, fields[self.agreement]):
            return "agreement is not between 0 and 1"
        return None

    def looks_like_tail(self, fields: list[str]) -> bool:
        """Whether this may be the second piece of a record that a line break in its text has cut.

        The tail begins with the rest of the text where the first column should be, and the columns after the text follow; so the last columns,
        as many as stand before the text, are empty or absent.
        """
        if (
            not self.text
            or len(fields) > len(self.columns)
            or not fields[0].strip()
            or any(fields[len(self.columns) - self.text :])
        ):
            return False
        # With the id first, prose in its place is enough. A single word may be an id: then label and agreement must both follow it, shifted.
        return self._has_no_id(fields) or self._has_shifted_votes(fields)

    def looks_like_head(self, fields: list[str]) -> bool:
        """Whether this may be the first piece of a cut record: whole up to its text, and nothing after it."""
        if len(fields) <= self.text or len(fields) > len(self.columns) or self._has_no_id(fields):
            return False
        return not any(fields[self.text + 1 :])

    def looks_like_middle(self, fields: list[str]) -> bool:
        """Whether this may be a line between head and tail: text in the first column and nothing else."""
        return (
            bool(fields[0].strip())
            and self._has_no_id(fields)
            and not any(fields[1:])
            and len(fields) <= len(self.columns)
        )

    def belongs_to(self, previous: list[str], fields: list[str]) -> bool:
        """Whether the two may be pieces of one record."""
        return self.looks_like_tail(fields) and (
            self.looks_like_head(previous) or self.looks_like_middle(previous)
        )

    def _has_shifted_votes(self, fields: list[str]) -> bool:
        if self.label is None or self.agreement is None:
            return False
        label, agreement = self.label - self.text, self.agreement - self.text
        if not (
            0 < label < len(fields)
            and 0 < agreement < len(fields)
            and fields[label].strip()
            and fields[agreement].strip()
        ):
            return False
        return not _is_broken_by(parse_label, fields[label]) and not _is_broken_by(
            parse_agreement, fields[agreement]
        )

    def _has_no_id(self, fields: list[str]) -> bool:
        return len(fields) <= self.tweet_id or not TWEET_ID.match(fields[self.tweet_id])


def read_header(record: bytes) -> Layout:
    """The layout that a dump's first record gives. Raises RefusedDumpError where it is not the header of a dump of tweets."""
    if record.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in record:
        raise RefusedDumpError("it is not in UTF-8 (it looks like UTF-16): convert it first")
    try:
        names = tuple(name.strip().lower() for name in split_fields(record.decode("utf-8")))
    except UnicodeDecodeError:
        raise RefusedDumpError("its header is not in UTF-8: convert it first") from None
    twice = sorted(
        {
            name
            for name in names
            if names.count(name) > 1 and name in ("tweet_id", *TEXT_COLUMNS, "label", "agreement")
        }
    )
    if twice:
        raise RefusedDumpError(f"column {twice[0]!r} is there twice")
    texts = [name for name in TEXT_COLUMNS if name in names]
    if len(texts) > 1:
        raise RefusedDumpError("it has both safe_text and safe_tweet: leave one")
    if "tweet_id" not in names or not texts:
        missing = " and ".join(
            name
            for name, there in (("tweet_id", "tweet_id" in names), ("safe_text (or safe_tweet)", texts))
            if not there
        )
        raise RefusedDumpError(
            f"its header has no column {missing}; it begins with {record[:80].decode('utf-8', 'replace')!r}"
        )
    place = {name: i for i, name in enumerate(names)}
    return Layout(names, place["tweet_id"], place[texts[0]], place.get("label"), place.get("agreement"))


def broken_pieces(
    layout: Layout, fields_of: Callable[[int], list[str]], suspects: list[int]
) -> dict[int, tuple[int, str]]:
    """The pieces among the records `suspects` (ascending) and the records before them.

    `fields_of(i)` are the fields of record i. Returns for each piece the record number that its reason names and the reason's words before the number.
    """
    pieces: dict[int, tuple[int, str]] = {}
    for i in suspects:
        fields = fields_of(i)
        if i == 0 or not layout.looks_like_tail(fields):
            continue
        before = fields_of(i - 1)
        continues_a_piece = i - 1 in pieces and layout.looks_like_middle(before)
        if not continues_a_piece and not layout.looks_like_head(before):
            continue
        if not continues_a_piece:
            pieces[i - 1] = i, "cut by an unquoted line break: its text goes on in record"
        pieces[i] = i - 1, "not a record of its own: after an unquoted line break it continues record"
    return pieces
