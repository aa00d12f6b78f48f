"""Read the bytes of a dump: hash them as delivered, decompress them, split them at line ends."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from typing import IO

from loading.formats.csv_records import BYTE_ORDER_MARK, MAX_RECORD_BYTES

# The fastest of 1 to 16 MiB: larger blocks cost memory bandwidth, smaller ones calls.
BLOCK_BYTES = 4 * 2**20
GZIP_MAGIC = b"\x1f\x8b"


class RefusedDumpError(ValueError):
    """The dump as a whole cannot be loaded. No record of it is written."""


class HashedFile(io.RawIOBase):
    """A file that is read once, sequentially, and hashed while it is read.

    Args:
        file: the dump as it was delivered.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._peeked = b""
        self.bytes = 0

    def peek(self) -> bytes:
        """Return the first block. The next read returns it again."""
        self._peeked = self.read(max(BLOCK_BYTES, len(GZIP_MAGIC)))
        return self._peeked

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, or none at the end."""
        block = self._peeked[:size] or self._file.read(size)
        if self._peeked:
            self._peeked = self._peeked[len(block) :]
        else:
            self._sha256.update(block)
            self.bytes += len(block)
        return block

    def sha256(self) -> str:
        """Read the rest of the file and return the SHA-256 of all bytes, in lower-case hexadecimal."""
        while self.read(BLOCK_BYTES):
            pass
        return self._sha256.hexdigest()


def content_blocks(file: HashedFile) -> Iterator[bytes]:
    """Yield the content of a plain or gzip file in blocks.

    Raises:
        RefusedDumpError: the gzip data is damaged or truncated.
    """
    content: HashedFile | gzip.GzipFile = file
    if file.peek().startswith(GZIP_MAGIC):
        content = gzip.GzipFile(fileobj=file)
    try:
        while block := content.read(BLOCK_BYTES):
            yield block
    except EOFError:
        raise RefusedDumpError("the gzip data is truncated") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise RefusedDumpError(f"the gzip data is damaged ({error})") from None


def whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield `blocks` without a leading byte order mark, split again so that each block ends at a line end.

    Line ends are LF, CRLF and CR. A last line without a line end gets an LF.

    Raises:
        RefusedDumpError: a line has more than MAX_RECORD_BYTES bytes.
    """
    carry: list[bytes] = []
    carried_bytes = 0
    for block in without_byte_order_mark(blocks):
        # A CR that is the last byte may be half of a CRLF, so the line may end in the next block.
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
        if carried_bytes > MAX_RECORD_BYTES:
            raise RefusedDumpError(f"a line has more than {MAX_RECORD_BYTES:,} bytes")
    rest = b"".join(carry)
    if rest:
        yield rest if rest.endswith((b"\n", b"\r")) else rest + b"\n"


def without_byte_order_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield `blocks`, but no empty ones, without UTF-8's byte order mark at the beginning of the file."""
    beginning = b""
    for block in blocks:
        beginning += block
        if len(beginning) >= len(BYTE_ORDER_MARK):
            break
    beginning = beginning.removeprefix(BYTE_ORDER_MARK)
    if beginning:
        yield beginning
    yield from filter(None, blocks)
