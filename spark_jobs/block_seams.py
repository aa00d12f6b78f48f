"""Reading the blocks of a CSV file side by side, quoted line breaks and all.

A block that begins at the beginning of a line is entered in one of two states, outside quotes or inside them, and nothing else: after a line feed
there is no third. So each block is run through from both (`block_exits`), knowing nothing of the others, and the true states follow from the first
block to the last (`compose_seams`). The idea is that of Ge et al., *Speculative Distributed CSV Data Parsing for Big Data Analytics* (SIGMOD 2019);
here both states are followed instead of one being guessed, which costs little: a wrong state meets the right one within a few records.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spark_jobs.csv_records import FIELD, Records, RecordTest, find_records

_REST_OF_QUOTED = re.compile(rb'(?:[^"]++|"")*+(?:"[^,\r\n]*+(?:,' + FIELD + rb")*+(?:\r\n|\n|\r|\Z)|(\Z))")


@dataclass(frozen=True)
class Seam:
    """What a block's task must know of its neighbours: how many of its first bytes belong to the block before, and what the next one gives it."""

    skip: int
    suffix: bytes
    may_end_open: bool


@dataclass(frozen=True)
class Exit:
    """What becomes of a block that was entered in one of the two states."""

    open: bool  # whether it ends inside quotes
    lead: bytes | None  # its first bytes, which belong to the block before; None: more than was looked at
    through: bool = False  # whether it lies as a whole inside the quotes that were open before it


def block_exits(first_lines: bytes, quoted_lines: bytes, continues_previous: RecordTest) -> tuple[Exit, Exit]:
    """How a block ends when it begins outside quotes, and when it begins inside.

    `first_lines` are its first lines, `quoted_lines` are those of the lines after them that contain a quote: no other line changes the state.
    """
    data = first_lines + quoted_lines
    outside = find_records(data)
    entered_inside = _REST_OF_QUOTED.match(data)
    assert entered_inside is not None, "the expression matches anything"
    if entered_inside[2] is not None or entered_inside[3] is not None:
        return _exit(outside, first_lines, continues_previous), Exit(open=True, lead=None, through=entered_inside[3] is not None)
    position = entered_inside.end()
    inside = find_records(data[position:])
    lead = (
        _exit(inside, first_lines[position:], continues_previous) if position <= len(first_lines) else Exit(bool(inside.unfinished), None)
    )
    return _exit(outside, first_lines, continues_previous), Exit(lead.open, None if lead.lead is None else data[:position] + lead.lead)


def _exit(found: Records, first_lines: bytes, continues_previous: RecordTest) -> Exit:
    for i in range(len(found)):
        if found.ends[i] > len(first_lines):
            break
        if not continues_previous(found.raw(i)):
            return Exit(bool(found.unfinished), found.data[: found.starts[i]])
    return Exit(bool(found.unfinished), None)


def compose_seams(blocks: list[int], exits: list[tuple[Exit, Exit]]) -> dict[int, Seam] | None:
    """The seams of `blocks` from how each is left when it is entered outside and inside quotes; None where a lead that is needed is unknown."""
    taken = [exits[0][0]]
    for exit_ in exits[1:]:
        taken.append(exit_[taken[-1].open])
    never_closed = len(taken)
    if taken[-1].open:
        # The last quote is never closed: it costs its own line, and all that comes after is read from outside quotes.
        never_closed = max(i for i, exit_ in enumerate(taken) if not exit_.through)
        taken[never_closed + 1 :] = [exit_[0] for exit_ in exits[never_closed + 1 :]]
    leads = [b"", *(exit_.lead for exit_ in taken[1:]), b""]
    seams = {}
    for i, block in enumerate(blocks):
        skipped, suffix = leads[i], leads[i + 1]
        if skipped is None or suffix is None:
            return None
        seams[block] = Seam(len(skipped), bytes(suffix), may_end_open=i >= never_closed)
    return seams


def skip_bytes(pieces: Iterable[bytes], count: int) -> Iterator[bytes]:
    """`pieces` without their first `count` bytes."""
    for piece in pieces:
        yield piece[count:]
        count = max(0, count - len(piece))
