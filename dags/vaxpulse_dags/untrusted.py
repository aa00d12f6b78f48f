"""Values from dumps in Markdown and in logs. Anyone can write a dump, and raw dumps contain user names."""

import re
from collections.abc import Iterable, Sequence

from contracts.delivered_names import show_source

MAX_LENGTH = 80
LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
HANDLE = re.compile(r"@(?!text\b)\w+")  # @text is a value of a mapping
# Characters with a meaning in Markdown or HTML. An underscore within a word has none.
SPECIAL = re.compile(r"[\\`*\[\]|<>&~#!{}]|(?<![^\W_])_|_(?![^\W_])")
# Markdown turns addresses into links, also if their characters are escaped. An invisible space prevents it.
AUTOMATIC_LINK = re.compile(r"(?=://)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)
INVISIBLE_SPACE = "\u200b"
JOINERS = "\u200c\u200d"  # part of emoji and of words in Persian and Indian scripts


def mask(text: str) -> str:
    """Replace user names and links by placeholders.

    >>> mask("@ann: see https://example.org/a, ids from @text")
    '<user>: see <url> ids from @text'
    """
    return HANDLE.sub("<user>", LINK.sub("<url>", text))


def reveal(text: str) -> str:
    r"""Return a text with its control, bidirectional and other invisible characters as escapes.

    >>> reveal("a\x1b[2J \u202egpj.exe")
    'a\\x1b[2J \\u202egpj.exe'
    """
    return "".join(c if c in JOINERS else show_source(c) for c in text)


def shorten(value: object, length: int = MAX_LENGTH) -> str:
    """Return a value on one line with at most `length` characters."""
    text = reveal(" ".join(str(value).split()))
    return text if len(text) <= length else text[: length - 1] + "…"


def escape(text: str) -> str:
    """Return a text on one line that Markdown shows unchanged, also in a table.

    >>> escape("a|b <i>`x` my_id")
    'a&#124;b &#60;i&#62;&#96;x&#96; my_id'
    """
    text = AUTOMATIC_LINK.sub(INVISIBLE_SPACE, reveal(" ".join(text.split())))
    return SPECIAL.sub(lambda found: f"&#{ord(found[0])};", text)


def show(value: object) -> str:
    """Return a value of a dump for a Markdown page: masked, shortened, escaped."""
    return escape(shorten(mask(str(value))))


def build_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table of values of a dump. Rows may be shorter than the header."""
    lines = [header, ["---"] * len(header)]
    lines += [[show(value) for value in row] + [""] * (len(header) - len(row)) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
