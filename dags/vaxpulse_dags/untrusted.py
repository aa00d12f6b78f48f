"""Values from dumps in Markdown and in logs. Anyone can write a dump, and raw dumps contain user names."""

import re
from collections.abc import Iterable, Sequence

from contracts.untrusted_text import mask, reveal, shorten

MAX_LENGTH = 80
# Characters with a meaning in Markdown or HTML. An underscore within a word has none.
SPECIAL = re.compile(r"[\\`*\[\]|<>&~#!{}]|(?<![^\W_])_|_(?![^\W_])")
# Markdown turns addresses into links, also if their characters are escaped. An invisible space prevents it.
AUTOMATIC_LINK = re.compile(r"(?=://)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)
INVISIBLE_SPACE = "\u200b"


def escape(text: str) -> str:
    """Return a text on one line that Markdown shows unchanged, also in a table.

    >>> escape("a|b <i>`x` my_id")
    'a&#124;b &#60;i&#62;&#96;x&#96; my_id'
    """
    text = AUTOMATIC_LINK.sub(INVISIBLE_SPACE, reveal(" ".join(text.split())))
    return SPECIAL.sub(lambda found: f"&#{ord(found[0])};", text)


def show(value: object) -> str:
    """Return a value of a dump for a Markdown page: masked, shortened, escaped."""
    return escape(shorten(mask(str(value)[: 4 * MAX_LENGTH]), MAX_LENGTH))


def build_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table of values of a dump. Rows may be shorter than the header."""
    lines = [header, ["---"] * len(header)]
    lines += [[show(value) for value in row] + [""] * (len(header) - len(row)) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
