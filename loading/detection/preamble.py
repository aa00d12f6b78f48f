"""Lines before the header: titles, comments, the period of an export, Excel's `sep=;`."""

import re
from collections.abc import Sequence

from loading.column_names import count_known_names
from loading.detection.csv_dialect import DELIMITERS, CsvDialect, split_record

MAX_LINES = 40
# A header below other lines has this many known names; one may be a word in a title.
MIN_KNOWN_NAMES = 2
SEPARATOR_LINE = re.compile(r'"?sep=.?"?[,;\t|]*', re.IGNORECASE)
LINE_END = re.compile(rb"\r\n|\n|\r")


def find_header(records: Sequence[Sequence[str]]) -> int:
    """Return the position of the header: 0, unless records with fewer fields or comments come before it."""
    for i, record in enumerate(records[:MAX_LINES]):
        if count_known_names(record) >= MIN_KNOWN_NAMES:
            filled = sum(map(bool, record))
            return i if all(_is_title(before, filled) for before in records[:i]) else 0
    return 0


def _is_title(record: Sequence[str], columns: int) -> bool:
    return sum(map(bool, record)) < columns or record[0].startswith("#")


def count_lines_before_header(text: str, *, has_header: bool) -> int:
    """Return the number of lines before the header of CSV text; those of Excel if it has no header."""
    lines = re.split(r"\r\n|\n|\r", text[: 2**16])[: MAX_LINES + 1]
    first = int(SEPARATOR_LINE.fullmatch(lines[0]) is not None)
    if not has_header:
        return first
    for delimiter in DELIMITERS:
        dialect = CsvDialect(delimiter)
        records = [split_record(line, dialect) for line in lines[first:]]
        if position := find_header(records):
            return first + position
    return first


def skip_lines(data: bytes, lines: int) -> bytes:
    """Return data without its first lines."""
    position = 0
    for _ in range(lines):
        end = LINE_END.search(data, position)
        position = end.end() if end else len(data)
    return data[position:]
