"""The bytes of a dump: hashed as they were delivered, decompressed, cut where lines end."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from typing import IO

from loading.csv_records import BYTE_ORDER_MARK, LONGEST_RECORD_BYTES
from loading.record_rules import RefusedDumpError

# Larger blocks cost memory bandwidth, smaller ones calls: 4 MiB is the fastest of 1 to 16 MiB.
BLOCK_BYTES = 4 * 2**20
GZIP_MAGIC = b"\x1f\x8b"


class HashedFile(io.RawIOBase):
    """A file that is read once, from its beginning, and hashed on the way.

    Args:
        file: the dump as it was delivered.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._peeked = b""
        self.bytes = 0

    def peek(self) -> bytes:
        """The first block, which the next read gives again."""
        self._peeked = self.read(max(BLOCK_BYTES, len(GZIP_MAGIC)))
        return self._peeked

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, none at the end."""
        block = self._peeked[:size] or self._file.read(size)
        if self._peeked:
            self._peeked = self._peeked[len(block) :]
        else:
            self._sha256.update(block)
            self.bytes += len(block)
        return block

    def sha256(self) -> str:
        """The SHA-256 of the whole file, in lower-case hexadecimal; reads what has not been read."""
        while self.read(BLOCK_BYTES):
            pass
        return self._sha256.hexdigest()


def content_blocks(file: HashedFile) -> Iterator[bytes]:
    """The content of a plain or gzip file, in blocks. Raises RefusedDumpError where gzip is damaged or cut off."""
    content: HashedFile | gzip.GzipFile = file
    if file.peek().startswith(GZIP_MAGIC):
        content = gzip.GzipFile(fileobj=file)
    try:
        while block := content.read(BLOCK_BYTES):
            yield block
    except EOFError:
        raise RefusedDumpError("it is gzip that was cut off") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise RefusedDumpError(f"it is damaged gzip ({error})") from None


def whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """`blocks` without a byte order mark at their beginning, cut again after line ends (LF, CRLF or CR); the last line gets one if it has none.

    Raises RefusedDumpError for a line of more than LONGEST_RECORD_BYTES.
    """
    carry: list[bytes] = []
    carried_bytes = 0
    for block in without_byte_order_mark(blocks):
        # A CR at the very end may be half of a CRLF: that line ends in the next block.
        end = max(block.rfind(b"\n"), block.rfind(b"\r", 0, -1)) + 1
        if not end and carry and carry[-1].endswith(b"\r"):
            yield b"".join(carry)
            carry, carried_bytes = [block], len(block)
        elif end:
            yield b"".join([*carry, block[:end]])
            carry, carried_bytes = [block[end:]], len(block) - end
        else:
            carry.append(block)
            carried_bytes += len(block)
        if carried_bytes > LONGEST_RECORD_BYTES:
            raise RefusedDumpError(f"it has a line of more than {LONGEST_RECORD_BYTES:,} bytes")
    rest = b"".join(carry)
    if rest:
        yield rest if rest.endswith((b"\n", b"\r")) else rest + b"\n"


def without_byte_order_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """`blocks`, none of them empty, without UTF-8's byte order mark at their beginning."""
    beginning = b""
    for block in blocks:
        beginning += block
        if len(beginning) >= len(BYTE_ORDER_MARK):
            break
    beginning = beginning.removeprefix(BYTE_ORDER_MARK)
    if beginning:
        yield beginning
    yield from filter(None, blocks)
