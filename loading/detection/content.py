"""Identification of files that contain no readable tweets."""

import re

# Magic numbers at the start of a file, with the name of the content.
MAGIC_NUMBERS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\0\0\x01\0", "an icon"),
    (b"%PDF-", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"{\\rtf", "an RTF document"),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an old Excel workbook (.xls) or an encrypted one; save it as xlsx or CSV",
    ),
    (b"SQLite format 3\0", "an SQLite database; export the table as CSV"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"ARROW1\0\0", "an Arrow file; convert it to Parquet"),
    (b"FEA1", "a Feather file; convert it to Parquet"),
    (b"ORC", "an ORC file; convert it to Parquet"),
    (b"Obj\x01", "an Avro file; convert it to Parquet"),
    (b"RDX2\n", "an R workspace; export the table as CSV"),
    (b"RDX3\n", "an R workspace; export the table as CSV"),
    (b"X\n\0\0\0", "an R object (.rds); export the table as CSV"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"PGDMP", "a PostgreSQL dump; export the table as CSV"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive; decompress it first"),
    (b"\x04\x22\x4d\x18", "an LZ4 archive; decompress it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive; unpack it first"),
    (b"\x1f\x9d", "a file of compress (.Z); decompress it first"),
    (b"ID3", "a sound file"),
    (b"OggS", "a sound file"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"\x80\x02", "a Python pickle; export the table as CSV"),
    (b"\x80\x03", "a Python pickle; export the table as CSV"),
    (b"\x80\x04\x95", "a Python pickle; export the table as CSV"),
    (b"\x80\x05\x95", "a Python pickle; export the table as CSV"),
)
GIT_LFS = re.compile(rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/")
HTML = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|table|div|meta|script|title)\b",
    re.IGNORECASE | re.DOTALL,
)
HTML_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,80})", re.IGNORECASE)
XML = re.compile(rb"\s*<\?xml\b", re.IGNORECASE)
TAR_MAGIC_OFFSET = 257
# Bytes of binary files. Tab, line ends, form feed, escape and the DOS end of file occur in text files.
CONTROL_BYTES = bytes(set(range(32)) - set(b"\t\n\r\f\v\x1a\x1b\b"))
MAX_CONTROL_SHARE = 0.01


def identify(head: bytes) -> str | None:
    """Return what a file is if it cannot contain tweets in a readable format, else None.

    Args:
        head: the first kilobytes of the decompressed file.
    """
    for magic, name in MAGIC_NUMBERS:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"WAVE", b"AVI "):
        return "an image, sound or video file (RIFF)"
    if head[4:8] == b"ftyp":
        return "a video or a HEIC image"
    if head[:2] == b"BM" and b"\0" in head[:16]:
        return "a BMP image"
    if head[TAR_MAGIC_OFFSET : TAR_MAGIC_OFFSET + 5] == b"ustar":
        return "a tar archive"
    if GIT_LFS.match(head):
        return "a Git LFS pointer, not the file itself; run `git lfs pull` and deliver the file"
    if HTML.match(head):
        title = HTML_TITLE.search(head)
        named = f" with the title {title[1].strip().decode('utf-8', 'replace')!r}" if title else ""
        return f"an HTML page{named} (for example a login or error page instead of the download)"
    if XML.match(head):
        return "an XML document"
    return None


def is_binary(text: bytes) -> bool:
    """Return whether decoded text contains many control characters. Scraped texts have a few, NUL too."""
    head = text[:65536]
    controls = len(head) - len(head.translate(None, CONTROL_BYTES))
    return controls > MAX_CONTROL_SHARE * len(head)
