"""Texts of strangers on pages and in downloads. Anyone can write a dump, and dumps contain user names."""

import re

from contracts.delivered_names import show_source
from contracts.texts import FORMULA_START, TEXT_PREFIX

LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
# The name and the domain of an e-mail address, or a handle. @text is a value of a mapping.
# Possessive: otherwise some texts of a megabyte take hours.
HANDLE = re.compile(r"(?<![\w.+-])[\w.+-]++[@＠]\w[\w-]*+(?:\.\w[\w-]*+)++|[@＠](?!text\b)\w+")
JOINERS = "\u200c\u200d"  # part of emoji and of words in Persian and Indian scripts


def mask(text: str) -> str:
    """Replace user names and links by placeholders.

    >>> mask("@ann: see https://example.org/a, ids from @text, ask ann.smith@example.org")
    '<user>: see <url> ids from @text, ask <user>'
    """
    return mask_names(LINK.sub("<url>", text))


def mask_names(text: str) -> str:
    """Replace user names by a placeholder. The name of a dump may be a URL.

    >>> mask_names("https://example.org/@ann/june.csv")
    'https://example.org/<user>/june.csv'

    >>> mask_names("uploads/ann.smith@example.org/june.csv")
    'uploads/<user>/june.csv'
    """
    return HANDLE.sub("<user>", text)


def reveal(text: str) -> str:
    r"""Return a text with its control, bidirectional and other invisible characters as escapes.

    >>> reveal("a\x1b[2J \u202egpj.exe")
    'a\\x1b[2J \\u202egpj.exe'
    """
    if text.isprintable():  # ten times as fast
        return text
    return "".join(c if c in JOINERS else show_source(c) for c in text)


def shorten(value: object, length: int) -> str:
    """Return a value on one line with at most `length` characters.

    >>> shorten("seven words", 6)
    'seven…'
    """
    text = reveal(" ".join(str(value)[: 4 * length].split()))
    return text if len(text) <= length else text[: length - 1] + "…"


def spreadsheet_cell(text: str) -> str:
    r"""Return a masked text on one line that no spreadsheet evaluates.

    >>> spreadsheet_cell("=1+1"), spreadsheet_cell("a\r\nb")
    ("'=1+1", 'a\\r\\nb')
    """
    shown = reveal(mask(text))
    return TEXT_PREFIX + shown if re.match(FORMULA_START, shown) else shown
