"""A gzip file in pieces that end where lines end, without ever holding its whole content."""

import zlib
from collections.abc import Iterable, Iterator

from spark_jobs.csv_records import BYTE_ORDER_MARK
from spark_jobs.record_rules import RefusedDumpError

GZIP_MAGIC = b"\x1f\x8b"
INFLATED_BYTES = 4 * 2**20


def inflate_beginning(compressed: bytes, size: int) -> bytes:
    """At most `size` bytes of the content of a gzip file, from its first bytes."""
    try:
        return zlib.decompressobj(wbits=31).decompress(compressed, size)
    except zlib.error as error:
        raise RefusedDumpError(f"it is damaged gzip ({error})") from None


def inflate(compressed: bytes) -> Iterator[bytes]:
    """The content of gzip members one after the other, in pieces. Raises RefusedDumpError where they are damaged or cut off."""
    rest = compressed
    try:
        while rest:
            member, waiting = zlib.decompressobj(wbits=31), rest
            while not member.eof:
                piece = member.decompress(waiting, INFLATED_BYTES)
                waiting = member.unconsumed_tail
                if not piece and not waiting and not member.eof:
                    raise RefusedDumpError("it is gzip that was cut off")
                yield piece
            rest = member.unused_data
    except zlib.error as error:
        raise RefusedDumpError(f"it is damaged gzip ({error})") from None


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """`pieces` cut again after line feeds; the last one gets a line feed where it has none."""
    carry = b""
    at_start = True
    for piece in pieces:
        data = carry + piece
        if at_start and len(data) >= len(BYTE_ORDER_MARK):
            data, at_start = data.removeprefix(BYTE_ORDER_MARK), False
        end = data.rfind(b"\n") + 1
        if end:
            yield data[:end]
        carry = data[end:]
    if carry:
        yield carry + b"\n"
