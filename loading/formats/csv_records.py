"""Find the records of a CSV file with numpy.

The grammar is that of Python's csv module with its defaults. Commas separate fields. A line end (LF, CRLF or
CR) outside quotes ends a record. A quote opens a quoted field only as the first byte of a field. Inside a
quoted field two quotes stand for one. Text after the closing quote belongs to the field. Blank lines are
skipped.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

LF, CR, QUOTE, COMMA = b'\n\r",'
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LINE_END = re.compile(rb"\r\n|\n|\r")
# Groups: the text after a closing quote (malformed), and a quoted field that is never closed.
FIELD = rb'(?:"(?:[^"]++|"")*+"([^,\r\n]++)?|("(?:[^"]++|"")*+\Z)|[^,\r\n"][^,\r\n]*+|)'
_RECORD = re.compile(rb"(?:" + FIELD + rb",)*+" + FIELD + rb"(?:\r\n|\n|\r|\Z)")

Positions = npt.NDArray[np.int64]
PairTest = Callable[[bytes, bytes], bool]

# Limits the memory that an unclosed quote takes: a longer record ends at the line end after its open quote.
MAX_RECORD_BYTES = 16 * 2**20
# Limits the search for the first piece of a record that unquoted line breaks have split.
MAX_PIECES = 10_000


@dataclass(frozen=True)
class Records:
    """Records of `data`: record i is `data[starts[i]:ends[i]]`, line end included, without blank lines.

    Attributes:
        malformed: records with text after a closing quote.
        unclosed: records whose quote is never closed. They end at the line end after the quote.
        unfinished: positions of the incomplete last record and of its open quote, or None.
        inner_line_ends: positions of line ends within quotes, ascending; None if they were not looked for.
    """

    data: bytes
    starts: Positions
    ends: Positions
    malformed: frozenset[int] = frozenset()
    unclosed: frozenset[int] = frozenset()
    unfinished: tuple[int, int] | None = None
    inner_line_ends: Positions | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def raw(self, i: int) -> bytes:
        """Return the bytes of record i without its line end."""
        record = self.data[self.starts[i] : self.ends[i]]
        return record[:-2] if record.endswith(b"\r\n") else record[:-1]

    def slice(self, first: int, end: int) -> "Records":
        """Return the records from `first` to `end` - 1."""
        start, stop = (int(self.ends[i - 1]) if i else 0 for i in (first, end))
        malformed, unclosed = (
            frozenset(i - first for i in found if first <= i < end)
            for found in (self.malformed, self.unclosed)
        )
        starts, ends = self.starts[first:end] - start, self.ends[first:end] - start
        inner = self.inner_line_ends
        if inner is not None:
            inner = inner[slice(*np.searchsorted(inner, [start, stop]))] - start
        return Records(self.data[start:stop], starts, ends, malformed, unclosed, inner_line_ends=inner)


def split_fields(record: str) -> list[str]:
    """Return the fields of one CSV record."""
    # csv's default limit is 128 KiB per field; texts may be longer.
    csv.field_size_limit(2**31 - 1)
    # csv.reader iterates over lines. A string is one line to it, even if a quoted field has line breaks.
    return next(csv.reader([record]), [""])


def find_records(data: bytes) -> Records:
    """Return the records of `data`, which starts outside quotes. If not empty, it ends with a line end."""
    bytes_ = np.frombuffer(data, dtype=np.uint8)
    is_special = (bytes_ == LF) | (bytes_ == QUOTE)
    has_returns = b"\r" in data
    if has_returns:
        is_special |= bytes_ == CR
    special = np.flatnonzero(is_special)
    kinds = bytes_[special]
    is_quote = kinds == QUOTE
    is_line_end = ~is_quote
    if has_returns:
        # In a CRLF, only the LF is the line end.
        is_line_end &= (kinds == LF) | (bytes_[np.minimum(special + 1, len(data) - 1)] != LF)
        # A CR that is the last byte has no following byte to compare with.
        is_line_end[-1] |= not is_quote[-1]
    quotes = special[is_quote]
    if not len(quotes):
        return _without_blank_lines(data, bytes_, special[is_line_end] + 1, inner=special[:0])
    if not _quotes_are_regular(bytes_, quotes):
        return _find_records_one_by_one(data)
    # If quotes are regular, a line end after an even number of quotes is outside quotes.
    is_outside = np.bitwise_xor.accumulate(is_quote) == 0
    ends = special[is_line_end & is_outside] + 1
    unfinished = (int(ends[-1]) if len(ends) else 0, _last_opening(quotes)) if len(quotes) % 2 else None
    inner = special[is_line_end & ~is_outside]
    return _without_blank_lines(data, bytes_, ends, unfinished=unfinished, inner=inner)


def _quotes_are_regular(bytes_: npt.NDArray[np.uint8], quotes: Positions) -> bool:
    """Return whether all quotes open or close a field at its border. `""` closes and opens again."""
    around = np.zeros(256, dtype=bool)
    around[[LF, CR, QUOTE, COMMA]] = True
    opening, closing = quotes[::2], quotes[1::2]
    return bool(around[bytes_[opening[opening > 0] - 1]].all() and around[bytes_[closing + 1]].all())


def _last_opening(quotes: Positions) -> int:
    """Return the last quote that opens a field, given an odd number of regular quotes.

    The second quote of a pair that stands for one quote does not open a field.
    """
    opening = quotes[::2]
    opening = opening[np.concatenate([[True], opening[1:] - quotes[1::2] > 1])]
    return int(opening[-1])


def _find_records_one_by_one(data: bytes) -> Records:
    """Return the same as find_records for irregular quotes, 10 times slower: one regex match per record."""
    ends, malformed, unfinished, position = [], [], None, 0
    while position < len(data):
        match = _RECORD.match(data, position)
        assert match is not None, "the expression matches the empty record"
        unclosed = match.start(2) if match[2] is not None else match.start(4)
        if unclosed >= 0:
            unfinished = (position, unclosed)
            break
        if match[1] is not None or match[3] is not None:
            malformed.append(position)
        position = match.end()
        ends.append(position)
    found = _without_blank_lines(
        data, np.frombuffer(data, dtype=np.uint8), np.array(ends, dtype=np.int64), unfinished=unfinished
    )
    return replace(found, malformed=frozenset(np.searchsorted(found.starts, malformed).tolist()))


def _without_blank_lines(
    data: bytes,
    bytes_: npt.NDArray[np.uint8],
    ends: Positions,
    unfinished: tuple[int, int] | None = None,
    inner: Positions | None = None,
) -> Records:
    starts = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1]])[: len(ends)]
    lengths = ends - starts
    blank = (lengths == 1) | ((lengths == 2) & (bytes_[starts] == CR))
    if blank.any():
        starts, ends = starts[~blank], ends[~blank]
    return Records(data, starts, ends, unfinished=unfinished, inner_line_ends=inner)


def close_at_line_end(found: Records, max_bytes: int = 0) -> Records:
    """End an unfinished record of more than `max_bytes` bytes at the line end after its open quote.

    The lines after it are parsed as records again.
    """
    while found.unfinished and len(found.data) - found.unfinished[0] > max_bytes:
        start, quote = found.unfinished
        line_end = LINE_END.search(found.data, quote)
        assert line_end is not None, "data ends with a line end"
        rest = find_records(found.data[line_end.end() :])
        before = len(found) + 1
        found = Records(
            found.data,
            np.concatenate([found.starts, [start], rest.starts + line_end.end()]),
            np.concatenate([found.ends, [line_end.end()], rest.ends + line_end.end()]),
            found.malformed | {i + before for i in rest.malformed},
            found.unclosed | {before - 1, *(i + before for i in rest.unclosed)},
            tuple(position + line_end.end() for position in rest.unfinished) if rest.unfinished else None,  # type: ignore[arg-type]
        )
    return found


def read_records(blocks: Iterable[bytes], may_continue: PairTest) -> Iterator[Records]:
    """Yield the records of a file, given its blocks of whole lines, in groups about as large as the blocks.

    Two consecutive records for which `may_continue` is true are always in the same group, so that they are
    validated together.
    """
    carry, waiting, waiting_bytes = b"", [], 0
    for block in blocks:
        waiting.append(block)
        waiting_bytes += len(block)
        # Scan a record that spans many blocks again only after it has doubled in size: linear time.
        if waiting_bytes < len(carry):
            continue
        found = close_at_line_end(find_records(b"".join([carry, *waiting])), MAX_RECORD_BYTES)
        waiting, waiting_bytes = [], 0
        whole = len(found) - 1
        first = max(whole - MAX_PIECES, 0)
        end = found.ends[whole] - MAX_RECORD_BYTES if whole > 0 else 0
        while (
            whole > first
            and found.starts[whole] > end
            and may_continue(found.raw(whole - 1), found.raw(whole))
        ):
            whole -= 1
        if whole > 0:
            yield found.slice(0, whole)
            carry = found.data[found.ends[whole - 1] :]
        else:
            carry = found.data
    found = find_records(b"".join([carry, *waiting]))
    if found.data:
        yield close_at_line_end(found)
