"""Detection of the CSV dialect: delimiter, quoting, blanks after delimiters, records quoted as a whole.

Own code, because csv.Sniffer does not recognise backslash quotes, missing quoting or wrapped records. Each
candidate dialect is applied to the beginning of the dump; the candidate that explains the most lines wins.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from loading.column_names import count_known_names

DELIMITERS = (",", ";", "\t", "|")
SNIFFED_CHARACTERS = 256 * 1024
MAX_RECORDS = 2000
MAX_UNCLOSED = 20
# A dialect with several columns must explain this share of the lines; otherwise the file is one column of
# text.
MIN_EXPLAINED = 0.5
MIN_EXPLAINED_UNQUOTED = 0.8
# Records with broken quotes, at least, before a file counts as written without quoting.
MIN_BROKEN_LINES = 2
MIN_BROKEN_SHARE = 0.02
MAX_PROPERLY_QUOTED = 0.5
MIN_WRAPPED = 0.1
MIN_KNOWN_NAMES = 2
# A line within quotes that begins with a value this much shorter than the record's id is text, for example
# "2021, a year".
MAX_SHORTER_ID = 2

Quoting = Literal["double", "backslash", "none"]


@dataclass(frozen=True)
class CsvDialect:
    r"""How the fields of a CSV file are written.

    Attributes:
        delimiter: character between fields.
        quoting: how a quote within a quoted field is written: doubled or after a backslash; or there is no
            quoting.
        skip_blanks: blanks after a delimiter do not belong to the field.
        wrapped: records are quoted once more as a whole (Excel does so with a file that it has opened as one
            column).
        unescape: with backslash quoting, `\\\\` within a quoted field is one backslash.
    """

    delimiter: str = ","
    quoting: Quoting = "double"
    skip_blanks: bool = False
    wrapped: bool = False
    unescape: bool = True


@dataclass(frozen=True)
class Token:
    """A record as text. `broken` means text after a closing quote, or a quote that is never closed."""

    fields: tuple[str, ...]
    quoted: tuple[bool, ...]
    start: int
    end: int
    broken: bool


@cache
def field_pattern(dialect: CsvDialect) -> re.Pattern[str]:
    """Return the expression for one field and its delimiter or line end."""
    delimiter = re.escape(dialect.delimiter)
    plain = rf"(?P<plain>[^{delimiter}\r\n]*+)"
    body = {"double": r'(?:[^"]++|"")*+', "backslash": r'(?:[^"\\]++|\\.|"")*+', "none": ""}[dialect.quoting]
    blanks = " *+" if dialect.skip_blanks else ""
    quoted = rf'"(?P<body>{body})(?P<close>"?)(?P<after>[^{delimiter}\r\n]*+)'
    field = plain if dialect.quoting == "none" else rf"(?:{quoted}|{plain})"
    return re.compile(rf"{blanks}{field}(?P<end>{delimiter}|\r\n|\n|\r|\Z)", re.DOTALL)


def unquote(body: str, dialect: CsvDialect) -> str:
    """Return the value of a quoted field."""
    if dialect.quoting == "backslash":
        escaped = r'\\(["\\])' if dialect.unescape else r'\\(")'
        return (
            re.sub(escaped, r"\1", body).replace('""', '"') if '""' in body else re.sub(escaped, r"\1", body)
        )
    return body.replace('""', '"')


def tokenize(text: str, dialect: CsvDialect) -> Iterator[Token]:
    """Yield the records of `text`. An unclosed quote ends at the line end after it."""
    pattern = field_pattern(dialect)
    position, unclosed = 0, 0
    while position < len(text):
        start, fields, quoted, broken = position, [], [], False
        while True:
            match = pattern.match(text, position)
            assert match is not None, "the expression matches the empty field"
            body = match["body"] if dialect.quoting != "none" else None
            if body is None:
                fields.append(match["plain"])
            elif match["close"]:
                fields.append(unquote(body, dialect) + match["after"])
                broken |= bool(match["after"].strip(" ") if dialect.skip_blanks else match["after"])
            else:
                unclosed += 1
                line_end = re.compile(r"\r\n|\n|\r|\Z").search(text, match.start("body"))
                assert line_end is not None
                fields.append(text[match.start("body") : line_end.start()])
                quoted.append(True)
                position, broken = line_end.end(), True
                break
            quoted.append(body is not None)
            position = match.end()
            if match["end"] != dialect.delimiter:
                break
        if fields != [""]:
            yield Token(tuple(fields), tuple(quoted), start, position, broken)
        if unclosed > MAX_UNCLOSED:
            return


def split_record(text: str, dialect: CsvDialect) -> tuple[str, ...]:
    """Return the fields of the first record, one empty field if there is only a blank line or a quote."""
    token = next(tokenize(text, dialect), None)
    return token.fields if token else ("",)


@dataclass(frozen=True)
class _Score:
    dialect: CsvDialect
    columns: int
    explained: int
    lines: int
    broken: int

    @property
    def share(self) -> float:
        return self.explained / max(self.lines, 1)


def sniff(sample: str, *, whole: bool) -> CsvDialect:
    """Return the dialect of a CSV file.

    Args:
        sample: the beginning of the file.
        whole: whether the sample is the whole file.
    """
    text = _cut_at_line_end(sample, whole=whole and len(sample) <= SNIFFED_CHARACTERS)
    first_line = next((line for line in re.split(r"\r\n|\n|\r", text) if line.strip()), "")
    candidates = [delimiter for delimiter in DELIMITERS if delimiter in first_line]
    scores = [_score(text, CsvDialect(delimiter)) for delimiter in candidates]
    scores += [_score(text, replace(score.dialect, quoting="backslash")) for score in scores if '\\"' in text]
    scores += [
        _score(text, replace(score.dialect, skip_blanks=True))
        for score in scores
        if f'{score.dialect.delimiter} "' in text
    ]
    scores += [_score(text, replace(score.dialect, wrapped=True)) for score in scores if _is_wrapped(text)]
    usable = [score for score in scores if score.columns > 1 and score.share >= MIN_EXPLAINED]
    unquoted = [_score(text, CsvDialect(delimiter, "none")) for delimiter in candidates]
    unquoted = [score for score in unquoted if score.columns > 1 and score.share >= MIN_EXPLAINED_UNQUOTED]
    # max returns the first of equal candidates: comma before others, doubled quotes before backslashes.
    best = max(usable, key=lambda score: (score.share, score.columns), default=None)
    plain = max(unquoted, key=lambda score: (score.share, score.columns), default=None)
    if plain and (best is None or (plain.share > best.share and _quotes_are_text(text, best, plain))):
        best = plain
    if best is None:
        return _dialect_of_header(first_line) or _one_column(text)
    return _with_details(text, best.dialect)


def _cut_at_line_end(sample: str, *, whole: bool) -> str:
    if whole:
        return sample
    cut = sample[:SNIFFED_CHARACTERS]
    end = max(cut.rfind("\n"), cut.rfind("\r", 0, -1)) + 1
    return cut[:end] or cut


def _score(text: str, dialect: CsvDialect) -> _Score:
    """Count the lines in records with as many fields as the first record and without broken quotes."""
    if dialect.wrapped:
        text = unwrap(text)
    columns, explained, lines, broken = 0, 0, 0, 0
    for count, token in enumerate(tokenize(text, dialect)):
        if count >= MAX_RECORDS:
            break
        used = max(len(re.findall(r"\r\n|\n|\r", text[token.start : token.end])), 1)
        columns = columns or len(token.fields)
        lines += used
        if token.broken:
            broken += used
        elif len(token.fields) == columns:
            swallowed = swallowed_lines(token.fields, dialect.delimiter)
            broken += swallowed + 1 if swallowed else 0
            explained += 0 if swallowed else used
    return _Score(dialect, columns, explained, lines, broken)


def swallowed_lines(fields: tuple[str, ...], delimiter: str) -> int:
    """Return how many lines within quoted fields look like records of their own, swallowed by an open quote.

    Such a line has as many delimiters as the record, or begins like the record: with a value of the same
    shape.
    """
    found = 0
    shape = value_shape(fields[0])
    for field in fields:
        inner = re.split(r"\r\n|\n|\r", field)[1:]
        for line in inner:
            values = line.split(delimiter)
            found += bool(
                len(fields) > 1
                and shape
                and len(values) > 1
                and value_shape(values[0]) == shape
                and len(values[0]) >= len(fields[0]) - MAX_SHORTER_ID
                and (len(values) >= len(fields) or line is inner[-1])
            )
    return found


def value_shape(value: str) -> str:
    """Return the kinds of characters in an id, empty if the value does not look like an id.

    >>> value_shape("A12"), value_shape("Yes")
    ('A9', '')
    """
    value = value.strip().strip('"')
    if not re.fullmatch(r"[0-9A-Za-z_-]{1,64}", value) or not re.search(r"\d", value):
        return ""
    return (
        "".join(
            kind for kind, characters in (("a", "a-z"), ("A", "A-Z")) if re.search(f"[{characters}]", value)
        )
        + "9"
    )


def _quotes_are_text(text: str, best: _Score, plain: _Score) -> bool:
    """Return whether quotes are part of the texts: many break records, and few enclose a whole field."""
    if best.broken < max(MIN_BROKEN_LINES, MIN_BROKEN_SHARE * best.lines):
        return False
    opened = closed = 0
    for count, token in enumerate(tokenize(text, plain.dialect)):
        if count >= MAX_RECORDS:
            break
        for field in token.fields:
            value = field.strip(" ")
            opened += value.startswith('"')
            closed += len(value) > 1 and value.startswith('"') and value.endswith('"')
    return closed <= MAX_PROPERLY_QUOTED * opened


def _is_wrapped(text: str) -> bool:
    tokens = [token for _, token in zip(range(200), tokenize(text, CsvDialect()), strict=False)]
    wrapped = sum(
        len(token.fields) == 1 and token.quoted[0] and any(d in token.fields[0] for d in DELIMITERS)
        for token in tokens
    )
    return wrapped >= max(MIN_WRAPPED * len(tokens), 1)


def unwrap(text: str) -> str:
    """Return CSV text whose records were quoted as a whole, without these quotes."""
    pattern = re.compile(r'^"((?:[^"]++|"")*+)"$', re.MULTILINE)
    return pattern.sub(lambda match: match[1].replace('""', '"'), text.replace("\r\n", "\n"))


def _dialect_of_header(line: str) -> CsvDialect | None:
    """Return the dialect of a header with known names, for a dump most of whose records are damaged."""
    dialects = [CsvDialect(delimiter) for delimiter in DELIMITERS]
    known = {dialect: count_known_names(split_record(line, dialect)) for dialect in dialects if line}
    best = max(known, key=lambda dialect: known[dialect], default=None)
    return best if best is not None and known[best] >= MIN_KNOWN_NAMES else None


def _one_column(text: str) -> CsvDialect:
    """Return a dialect whose delimiter does not occur: each record is one field."""
    used = Counter(text)
    delimiter = min("\x1f\x1e\x1d", key=lambda character: used[character])
    quoted = _score(text, CsvDialect(delimiter))
    return CsvDialect(delimiter, "double" if quoted.share == 1.0 else "none")


def _with_details(text: str, dialect: CsvDialect) -> CsvDialect:
    tokens = [token for _, token in zip(range(MAX_RECORDS), tokenize(text, dialect), strict=False)]
    later = [field for token in tokens for field in token.fields[1:] if field]
    if dialect.quoting != "none" and not dialect.skip_blanks and later:
        blanks = all(field.startswith(" ") for field in later)
        dialect = replace(dialect, skip_blanks=blanks)
    if dialect.quoting == "backslash":
        # A single backslash within quotes: this writer does not escape backslashes.
        raw = replace(dialect, unescape=False)
        bodies = [f for t in tokenize(text, raw) for f, q in zip(t.fields, t.quoted, strict=True) if q]
        single = any(re.search(r"(?<!\\)(?:\\\\)*\\(?![\\\"]|$)", body) for body in bodies)
        dialect = replace(dialect, unescape=not single)
    return dialect
