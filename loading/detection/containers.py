"""Decompression of dumps: gzip, bz2, xz, zip with one file. The number of decompressed bytes is bounded."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, cast

from contracts.texts import MAX_TEXT_CHARACTERS
from loading.detection.content import TAR_MAGIC_OFFSET
from loading.formats.dump_bytes import RefusedDumpError

HEAD_BYTES = 4096
COPY_BYTES = 4 * 2**20
MAX_NESTING = 4
MAX_LISTED_NAMES = 5
GZIP, BZ2, XZ, ZIP = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
# Files that operating systems add to archives.
IGNORED_MEMBERS = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")
WORKBOOK_MEMBER = "xl/workbook.xml"
ReadableFile = IO[bytes] | io.BufferedIOBase | io.RawIOBase


@dataclass(frozen=True)
class Limits:
    """Maximum sizes of a dump and of a text. They stop archives that expand without end.

    Attributes:
        max_bytes: decompressed bytes of a dump.
        max_ratio: decompressed bytes for each compressed byte that was read.
        min_bytes: decompressed bytes that are always allowed, because the ratio of small files varies.
        max_text_length: characters of a text. A record with a longer text is quarantined.
    """

    max_bytes: int = 20 * 2**30
    max_ratio: int = 200
    min_bytes: int = 2**20
    max_text_length: int = MAX_TEXT_CHARACTERS


class CountingReader(io.RawIOBase):
    """Count the bytes that are read from a file, and give a look at the first ones.

    Attributes:
        bytes: the number of bytes read so far.
        random_access: whether `file` can be searched at little cost.
    """

    _decompresses = False

    def __init__(self, file: ReadableFile) -> None:
        self.file = cast("IO[bytes]", file)
        self.bytes = 0
        self.random_access = isinstance(file, io.IOBase) and file.seekable() and not self._decompresses
        self._peeked = b""

    def readable(self) -> bool:
        """Return True: this is a reader."""
        return True

    def peek(self, size: int) -> bytes:
        """Return the first `size` bytes, fewer at the end of the file. The next read returns them again."""
        while len(self._peeked) < size and (block := self._read_file(size - len(self._peeked))):
            self._peeked += block
        return self._peeked[:size]

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, none at the end."""
        if size < 0:
            size = COPY_BYTES
        if self._peeked:
            block, self._peeked = self._peeked[:size], self._peeked[size:]
            return block
        return self._read_file(size)

    def rewind(self) -> None:
        """Start again at the beginning of a file with random access."""
        self.file.seek(0)
        self.bytes, self._peeked = 0, b""

    def _read_file(self, size: int) -> bytes:
        block = self.file.read(size)
        self.bytes += len(block)
        return block


class DecompressingReader(CountingReader):
    """Read a decompressor, translate its errors and enforce the limits."""

    _decompresses = True

    def __init__(self, file: ReadableFile, name: str, source: CountingReader, limits: Limits) -> None:
        super().__init__(file)
        self._name, self._source, self._limits = name, source, limits

    def _read_file(self, size: int) -> bytes:
        try:
            block = super()._read_file(size)
        except EOFError:
            raise RefusedDumpError(f"it is {self._name} that was cut off") from None
        except (OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise RefusedDumpError(f"it is damaged {self._name} ({error})") from None
        limits = self._limits
        allowed = min(limits.max_bytes, max(limits.max_ratio * self._source.bytes, limits.min_bytes))
        if self.bytes > allowed:
            raise RefusedDumpError(
                f"it is {self._name} that expands to more than {allowed:,} bytes "
                f"({limits.max_bytes:,} bytes and {limits.max_ratio} times the file are allowed)"
            )
        return block


@dataclass
class Content:
    """The decompressed content of a dump.

    Attributes:
        reader: the content, from its beginning.
        containers: the containers around it, the outermost first.
        delivered: reader of the bytes as delivered.
    """

    reader: CountingReader
    containers: tuple[str, ...]
    delivered: CountingReader
    limits: Limits

    def random_access_file(self) -> IO[bytes]:
        """Return the content as a file with random access: the dump itself or an unnamed copy in TMPDIR."""
        return seekable(self.reader)


def open_content(file: IO[bytes], limits: Limits | None = None) -> Content:
    """Return the decompressed content of a dump.

    Raises:
        RefusedDumpError: an archive with several files, an encrypted or a damaged one.
    """
    limits = limits or Limits()
    delivered = CountingReader(file)
    reader = delivered
    containers: tuple[str, ...] = ()
    while len(containers) < MAX_NESTING:
        opened = _open_container(reader, delivered, limits)
        if opened is None:
            break
        name, reader = opened
        containers += (name,)
    return Content(reader, containers, delivered, limits)


def _open_container(
    reader: CountingReader, delivered: CountingReader, limits: Limits
) -> tuple[str, CountingReader] | None:
    head = reader.peek(HEAD_BYTES)
    if head.startswith(GZIP):
        return "gzip", DecompressingReader(gzip.GzipFile(fileobj=reader), "gzip", delivered, limits)
    if head.startswith(BZ2) and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return "bz2", DecompressingReader(bz2.BZ2File(reader), "bz2", delivered, limits)
    if head.startswith(XZ):
        return "xz", DecompressingReader(lzma.LZMAFile(cast("IO[bytes]", reader)), "xz", delivered, limits)
    if head.startswith(EMPTY_ZIP):
        raise RefusedDumpError("it is an empty zip archive")
    if head.startswith(ZIP):
        member = _only_member(seekable(reader))
        if member is None:
            reader.rewind()
            return None
        return ("zip", DecompressingReader(member, "zip", delivered, limits))
    if head[TAR_MAGIC_OFFSET : TAR_MAGIC_OFFSET + 5] == b"ustar":
        raise RefusedDumpError(f"it is a tar archive{_tar_names(reader)}; deliver each file by itself")
    return None


def seekable(reader: CountingReader) -> IO[bytes]:
    """Return a file with random access that has the content of `reader`. The reader starts again."""
    if not reader.random_access:
        copy = TemporaryFile()  # noqa: SIM115 (closed with its last reader)
        while block := reader.read(COPY_BYTES):
            copy.write(block)
        reader.file, reader.random_access = copy, True
    reader.rewind()
    return reader.file


def _only_member(file: IO[bytes]) -> IO[bytes] | None:
    """Return the only file in a zip archive, or None if the archive is an Excel workbook."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise RefusedDumpError(f"it is a damaged zip archive ({error})") from None
    members = [
        info
        for info in archive.infolist()
        if not info.is_dir()
        and not info.filename.startswith(IGNORED_MEMBERS[0])
        and info.filename.rpartition("/")[2] not in IGNORED_MEMBERS
    ]
    names = [info.filename for info in members]
    if WORKBOOK_MEMBER in names:
        return None
    if len(members) != 1:
        raise RefusedDumpError(
            f"it is a zip archive with {len(members)} files{_list_names(names)}; deliver each file by itself"
        )
    if members[0].flag_bits & 1:
        raise RefusedDumpError(f"it is an encrypted zip archive ({names[0]}); unpack it first")
    try:
        return archive.open(members[0])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise RefusedDumpError(f"it is a zip archive that cannot be read ({error})") from None


def _list_names(names: list[str]) -> str:
    if not names:
        return ""
    rest = f" and {len(names) - MAX_LISTED_NAMES} more" if len(names) > MAX_LISTED_NAMES else ""
    return f" ({', '.join(names[:MAX_LISTED_NAMES])}{rest})"


def _tar_names(reader: CountingReader) -> str:
    try:
        with tarfile.open(fileobj=reader, mode="r|") as archive:
            names = [member.name for _, member in zip(range(MAX_LISTED_NAMES + 1), archive, strict=False)]
    except (tarfile.TarError, OSError):
        return ""
    return (
        f" with {', '.join(names[:MAX_LISTED_NAMES])}{' and more' if len(names) > MAX_LISTED_NAMES else ''}"
    )
