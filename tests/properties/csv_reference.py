"""Reference parser of dumps in plain Python: one record at a time, with the csv module."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from loading.detection.csv_dialect import swallowed_lines
from loading.validation.tweet_ids import cure

LINES = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r|\Z)")


@dataclass
class Record:
    fields: list[str]
    raw: bytes
    quoting: str = "fine"


@dataclass
class Outcome:
    """Expected result for a dump.

    Valid tweets are (row number, id, text, label, agreement). Reasons and bytes of the others are by row
    number.
    """

    tweets: list[tuple[int, str, str, float | None, float | None]] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)
    raw: dict[int, bytes] = field(default_factory=dict)
    records: int = 0


def records_of(dump: bytes) -> Iterator[Record]:
    """Yield the records of `dump` as csv.reader finds them.

    A record with an unclosed quote ends after the line with the quote.
    """
    lines = [line for line in LINES.findall(dump.removeprefix(b"\xef\xbb\xbf")) if line]
    while lines:
        fields, used, opened = read_one(lines)
        if used > len(lines):
            # The quote is never closed. The record has the fewest lines that give the same number of fields.
            used = next(
                n
                for n in range(1, len(lines) + 1)
                if read_one(lines[:n])[1] > n and len(read_one(lines[:n])[0]) == len(fields)
            )
            yield Record(fields, b"".join(lines[:used]).rstrip(b"\r\n"), "unclosed")
        elif fields:
            raw = b"".join(lines[:used])
            raw = raw[:-2] if raw.endswith(b"\r\n") else raw[:-1] if raw.endswith((b"\r", b"\n")) else raw
            yield Record(fields, raw, "malformed" if opened else "fine")
        lines = lines[used:]


def read_one(lines: list[bytes]) -> tuple[list[str], int, bool]:
    """Return the fields of the first record, its number of lines, and whether strict csv rejects it.

    If a quote is unclosed, the number of lines is greater than `len(lines)`.
    """
    taken = 0

    def feed() -> Iterator[str]:
        nonlocal taken
        for line in lines:
            taken += 1
            # Latin 1 maps each byte to one character.
            yield line.decode("latin-1")
        taken += 1
        yield '"'

    fields = next(csv.reader(feed()))
    if taken > len(lines):
        fields[-1] = fields[-1].removesuffix('"')
    try:
        next(csv.reader([line.decode("latin-1") for line in lines[:taken]], strict=True))
    except csv.Error:
        return fields, taken, True
    return fields, taken, False


def read_expected(dump: bytes) -> Outcome:
    """Return the expected result for a dump with the header tweet_id,safe_text[,label,agreement]."""
    header, *rest = records_of(dump)
    columns = len(header.fields)
    outcome = Outcome(records=len(rest))
    results = [check(record, columns) for record in rest]
    for i, (record, (reason, values)) in enumerate(zip(rest, results, strict=True), start=1):
        if reason:
            outcome.reasons[i] = reason
            outcome.raw[i] = record.raw
        else:
            outcome.tweets.append((i, *values))
    for i in range(2, len(rest) + 1):
        head, tail = rest[i - 2], rest[i - 1]
        if tail.quoting == "unclosed" or not is_tail(tail, columns):
            continue
        joins = outcome.reasons.get(i - 1, "").startswith("not a record") and is_middle(head, columns)
        if joins or is_head(head, columns):
            outcome.raw[i] = tail.raw
            if not joins:
                outcome.reasons[i - 1] = f"cut by an unquoted line break: its text goes on in record {i}"
                outcome.raw[i - 1] = head.raw
            outcome.reasons[i] = (
                f"not a record of its own: after an unquoted line break it continues record {i - 1}"
            )
    outcome.tweets = [tweet for tweet in outcome.tweets if tweet[0] not in outcome.reasons]
    return outcome


def check(record: Record, columns: int) -> tuple[str, tuple]:
    """Return why a record is invalid, or an empty string and its values."""
    if record.quoting == "unclosed":
        return "a quote is opened and never closed", ()
    lines = swallowed_lines(tuple(record.fields), ",")
    if lines and len(record.fields) == columns:
        return f"a quote that is not closed has swallowed {lines} lines that look like records", ()
    if record.quoting == "malformed":
        return "there is text after a closing quote", ()
    try:
        values = [value.encode("latin-1").decode() for value in record.fields]
    except UnicodeDecodeError:
        return "not UTF-8; invalid bytes are written as \\xNN", ()
    if len(values) != columns:
        return f"{len(values)} fields instead of {columns}", ()
    ident, text, *rest = values
    ident = cure(ident)
    if not ident.strip():
        return "tweet_id is missing", ()
    if not is_id(ident):
        return "tweet_id is not an id (1 to 64 letters, digits, '_' or '-')", ()
    if not text.strip():
        return "text is missing", ()
    label = agreement = None
    if rest:
        label, agreement = (missing_or_number(value) for value in rest)
        label = {"positive": 1.0, "anti": -1.0}.get(rest[0].strip().lower(), label)
        if label not in (None, -1, 0, 1):
            return "label is not -1, 0 or 1", ()
        if agreement == "wrong" or (agreement is not None and not 0 <= agreement <= 1):
            return "agreement is not between 0 and 1", ()
    return "", (ident, text, label, agreement)


def missing_or_number(field: str) -> float | str | None:
    return None if field.strip().lower() in ("na", "nan", "none", "null") else number(field.replace(",", "."))


def number(field: str) -> float | str | None:
    if not field.strip():
        return None
    try:
        return float(field)
    except ValueError:
        return "wrong"


def is_id(field: str) -> bool:
    field = cure(field)
    return 1 <= len(field) <= 64 and all(c.isascii() and (c.isalnum() or c in "_-") for c in field)


def is_tail(record: Record, columns: int) -> bool:
    if len(record.fields) > columns:
        return False
    fields = record.fields + [""] * (columns - len(record.fields))
    if not fields[0].encode("latin-1").decode("utf-8", "replace").strip() or fields[columns - 1]:
        return False
    if not is_id(fields[0]):
        return True
    if columns == 2:
        return False
    label, agreement = number(fields[1]), number(fields[2])
    return label in (-1, 0, 1) and agreement not in (None, "wrong") and 0 <= agreement <= 1


def is_head(record: Record, columns: int) -> bool:
    return 2 <= len(record.fields) <= columns and is_id(record.fields[0]) and not any(record.fields[2:])


def is_middle(record: Record, columns: int) -> bool:
    return (
        len(record.fields) <= columns
        and not is_id(record.fields[0])
        and bool(record.fields[0].strip())
        and not any(record.fields[1:])
    )
