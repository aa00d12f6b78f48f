"""Where the records of a CSV file begin and end, found at the speed of numpy.

The grammar is that of Python's csv module with its defaults: fields are separated by commas; a record ends at a line end (LF, CRLF or CR)
outside quotes; a quote opens a quoted field only as the first byte of the field; inside it two quotes stand for one; after the closing quote the
field goes on unquoted until the next comma or line end. Blank lines are no records.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LF, CR, QUOTE, COMMA = b'\n\r",'
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LINE_END = re.compile(rb"\r\n|\n|\r")
# Groups: what follows a closing quote (malformed), and a quoted field that is never closed.
FIELD = rb'(?:"(?:[^"]++|"")*+"([^,\r\n]++)?|("(?:[^"]++|"")*+\Z)|[^,\r\n"][^,\r\n]*+|)'
_RECORD = re.compile(rb"(?:" + FIELD + rb",)*+" + FIELD + rb"(?:\r\n|\n|\r|\Z)")

Positions = npt.NDArray[np.int64]
RecordTest = Callable[[bytes, bytes], bool]

# A longer record is no tweet; where a quote is never closed, reading goes on after this much instead of keeping the rest of the file.
LONGEST_RECORD_BYTES = 16 * 2**20
# How many records to look back for the beginning of one that line breaks have cut into pieces.
MOST_PIECES = 10_000


@dataclass(frozen=True)
class Records:
    """Records of `data`: record i is `data[starts[i]:ends[i]]`, line end included; blank lines lie between records."""

    data: bytes
    starts: Positions
    ends: Positions
    malformed: frozenset[int] = frozenset()  # records with text after a closing quote
    unclosed: frozenset[int] = (
        frozenset()
    )  # records whose quote is never closed, cut at the line end after it
    # Where the unfinished last record starts, and where its open quote stands; None where the last record is whole.
    unfinished: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def raw(self, i: int) -> bytes:
        """Record i as it stands in the file, without its line end."""
        record = self.data[self.starts[i] : self.ends[i]]
        return record[:-2] if record.endswith(b"\r\n") else record[:-1]

    def first(self, count: int) -> "Records":
        """The first `count` records."""
        stop = int(self.ends[count - 1]) if count else 0
        malformed, unclosed = (
            frozenset(i for i in found if i < count) for found in (self.malformed, self.unclosed)
        )
        return Records(self.data[:stop], self.starts[:count], self.ends[:count], malformed, unclosed)

    def without_first(self) -> "Records":
        """All records but the first."""
        malformed, unclosed = (
            frozenset(i - 1 for i in found if i) for found in (self.malformed, self.unclosed)
        )
        start = int(self.ends[0])
        return Records(self.data[start:], self.starts[1:] - start, self.ends[1:] - start, malformed, unclosed)


def find_records(data: bytes) -> Records:
    """The records of `data`, which begins outside quotes and ends, unless it is empty, with a line end."""
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
        # Of CR and LF together the LF ends the line.
        is_line_end &= (kinds == LF) | (bytes_[np.minimum(special + 1, len(data) - 1)] != LF)
        # A CR at the very end has no byte after it.
        is_line_end[-1] |= not is_quote[-1]
    quotes = special[is_quote]
    if not len(quotes):
        return _without_blank_lines(data, bytes_, special[is_line_end] + 1)
    if not _quotes_are_regular(bytes_, quotes):
        return _find_records_one_by_one(data)
    # Regular quotes: an even number of them before a line end means that it is outside.
    is_outside = np.bitwise_xor.accumulate(is_quote) == 0
    ends = special[is_line_end & is_outside] + 1
    unfinished = (int(ends[-1]) if len(ends) else 0, _last_opening(quotes)) if len(quotes) % 2 else None
    return _without_blank_lines(data, bytes_, ends, unfinished=unfinished)


def _quotes_are_regular(bytes_: npt.NDArray[np.uint8], quotes: Positions) -> bool:
    """Whether each quote opens at the start of a field or closes at its end (two in a row close and open again)."""
    around = np.zeros(256, dtype=bool)
    around[[LF, CR, QUOTE, COMMA]] = True
    opening, closing = quotes[::2], quotes[1::2]
    return bool(around[bytes_[opening[opening > 0] - 1]].all() and around[bytes_[closing + 1]].all())


def _last_opening(quotes: Positions) -> int:
    """The last of an odd number of regular quotes that opens a field, rather than being the second of two that stand for one."""
    opening = quotes[::2]
    opening = opening[np.concatenate([[True], opening[1:] - quotes[1::2] > 1])]
    return int(opening[-1])


def _find_records_one_by_one(data: bytes) -> Records:
    """As find_records, for quotes in unusual places: each record by a regular expression, some ten times slower."""
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
    return Records(
        data,
        found.starts,
        found.ends,
        frozenset(np.searchsorted(found.starts, malformed).tolist()),
        unfinished=found.unfinished,
    )


def _without_blank_lines(
    data: bytes, bytes_: npt.NDArray[np.uint8], ends: Positions, unfinished: tuple[int, int] | None = None
) -> Records:
    starts = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1]])[: len(ends)]
    lengths = ends - starts
    blank = (lengths == 1) | ((lengths == 2) & (bytes_[starts] == CR))
    if blank.any():
        starts, ends = starts[~blank], ends[~blank]
    return Records(data, starts, ends, unfinished=unfinished)


def close_at_line_end(found: Records, longest: int = 0) -> Records:
    """`found` without an unfinished record of more than `longest` bytes.

    A quote that is never closed costs the line it stands in; the lines after it are records again.
    """
    while found.unfinished and len(found.data) - found.unfinished[0] > longest:
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


def read_records(blocks: Iterable[bytes], belongs_to_previous: RecordTest) -> Iterator[Records]:
    """The records of a file from its blocks of whole lines, in groups about as large as the blocks.

    A group never ends between two records of which the second `belongs_to_previous`, so that both are judged together.
    """
    carry, waiting, waiting_bytes = b"", [], 0
    for block in blocks:
        waiting.append(block)
        waiting_bytes += len(block)
        # A record that stays open over many blocks is searched again only when it has doubled: linear time in all.
        if waiting_bytes < len(carry):
            continue
        found = close_at_line_end(find_records(b"".join([carry, *waiting])), LONGEST_RECORD_BYTES)
        waiting, waiting_bytes = [], 0
        whole = len(found) - 1
        first = max(whole - MOST_PIECES, 0)
        end = found.ends[whole] - LONGEST_RECORD_BYTES if whole > 0 else 0
        while (
            whole > first
            and found.starts[whole] > end
            and belongs_to_previous(found.raw(whole - 1), found.raw(whole))
        ):
            whole -= 1
        if whole > 0:
            yield found.first(whole)
            carry = found.data[found.ends[whole - 1] :]
        else:
            carry = found.data
    found = find_records(b"".join([carry, *waiting]))
    if found.data:
        yield close_at_line_end(found)
