"""Read the bytes of a dump: hash them as delivered, split them at line ends."""

import hashlib
import io
from collections.abc import Callable, Iterator
from typing import IO, cast

from loading.formats.csv_records import BYTE_ORDER_MARK, MAX_RECORD_BYTES

# The fastest of 1 to 16 MiB: larger blocks cost memory bandwidth, smaller ones calls.
BLOCK_BYTES = 4 * 2**20


class RefusedDumpError(ValueError):
    """The dump as a whole cannot be loaded. No record of it is written."""


class HashedFile(io.RawIOBase):
    """A file that is hashed while it is read sequentially.

    Args:
        file: the dump as it was delivered, at its beginning.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self.bytes = 0
        self.at_end = False

    def readable(self) -> bool:
        """Return True: this is a reader."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, or none at the end."""
        block = self._file.read(size)
        self._sha256.update(block)
        self.bytes += len(block)
        self.at_end |= not block and size != 0
        return block

    def read_rest(self) -> None:
        """Read to the end of the file."""
        while self.read(BLOCK_BYTES):
            pass

    def close(self) -> None:
        """Close the file. Its hash stays available."""
        self._file.close()
        super().close()

    def sha256(self) -> str:
        """Return the SHA-256 of the bytes that were read, in lower-case hexadecimal."""
        return self._sha256.hexdigest()


class HashedDump:
    """A dump that can be opened several times and whose bytes as delivered are hashed.

    Args:
        opener: opens the dump at its beginning.
    """

    def __init__(self, opener: Callable[[], IO[bytes]]) -> None:
        self._opener = opener
        self._last: HashedFile | None = None

    @property
    def bytes_read(self) -> int:
        """Return the number of bytes that were read since the dump was opened last."""
        return self._last.bytes if self._last else 0

    def open(self) -> IO[bytes]:
        """Open the dump at its beginning."""
        self._last = HashedFile(self._opener())
        return cast("IO[bytes]", self._last)

    def digest(self) -> tuple[str, int]:
        """Return the SHA-256 and the size of the whole dump, which is read again if it was not read whole."""
        if self._last is None or not self._last.at_end:
            self._last = HashedFile(self._opener())
            with self._last as file:
                file.read_rest()
        return self._last.sha256(), self._last.bytes


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
