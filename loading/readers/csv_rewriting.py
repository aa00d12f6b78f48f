"""Rewriting of rare CSV dialects to the canonical one."""

import re
from collections.abc import Iterator, Sequence

from loading.detection.csv_dialect import CsvDialect, tokenize
from loading.formats.csv_records import read_records


def rewrite_wrapped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield blocks in which records are no longer quoted as a whole."""
    for records in read_records(blocks, lambda _previous, _record: False):
        lines = []
        for i in range(len(records)):
            raw = records.raw(i)
            whole = i not in records.malformed | records.unclosed and re.fullmatch(
                rb'"((?:[^"]++|"")*+)"', raw
            )
            lines.append(whole[1].replace(b'""', b'"') if whole else raw)
        yield b"\n".join([*lines, b""])


def rewrite_dialect(blocks: Iterator[bytes], dialect: CsvDialect) -> Iterator[bytes]:
    """Yield blocks in the canonical dialect. Records with broken quotes stay, and are rejected later."""
    carry = ""
    for block in blocks:
        text = carry + block.decode("utf-8", "surrogateescape")
        lines, end = [], 0
        for token in tokenize(text, dialect):
            if token.broken and token.end >= len(text):
                break
            raw = text[token.start : token.end]
            lines.append(raw if token.broken else _canonical(token.fields))
            end = token.end
        carry = text[end:]
        if lines:
            yield "".join(lines).encode("utf-8", "surrogateescape")
    if carry:
        yield carry.encode("utf-8", "surrogateescape")


def _canonical(fields: Sequence[str]) -> str:
    return ",".join('"' + field.replace('"', '""') + '"' for field in fields) + "\n"
