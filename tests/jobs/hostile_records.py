"""Records whose texts try to break the pipeline: long words, controls, formulas, markup, deep repetition."""

import csv
import io
import random

LETTERS = "yWaéжα疫ا\u0301💉1_'"
MARKS = (
    "a.", "@", "@a/", "#", "#a", "http://", "http://a.b/(", "www.", "&amp;", "&#x1F489;", "&#0;", "<user>",
    "<url>", "RT ", "\u202e", "\u200b", "\u200d", "\u0301", "\ufe0f", "👩\u200d", "1\ufe0f\u20e3", "Ã©",
    "\\n", "\\u00e9", "\\x00", "\t", "\r\n", "\n", "\x85", "\u2028", "\ufeff", "\ufffe",
    "\U0010ffff", '"', "''",
    ";", ",", "|", "=1+1", "+cmd|' /C calc'!A0", "@SUM(1)", "-2+3", "<script>alert(1)</script>",
    "<img src=x onerror=a>", "</td>", "{{ 7*7 }}", "${x}", "%s%n", "'; DROP TABLE t; --", "../",
    "[](javascript:a)", "![](x)", "`", "**", "$$", "ﷺ", "ﷻ", "ß", "İ", "ſ", "ﬁ", "½", "٣", "𝔘", "－１",
)  # fmt: skip
# A file that begins with many of these is refused as a binary file.
CONTROLS = ("\0", "\x01", "\x07", "\x1b[31m", "\x7f")
WORDS = ("vaccine", "needle", "flu", "child", "works", "not")
MAX_LENGTH = 20_000  # twice as much as loading accepts


def hostile_text(draw: random.Random) -> str:
    """Return a text; some are too long, empty or white space only."""
    kind = draw.randrange(6)
    if kind == 0:  # a long word
        return draw.choice(LETTERS) * draw.choice(
            (63, 64, 65, 239, 240, 4_000, 9_999, 10_000, 10_001, MAX_LENGTH)
        )
    if kind == 1:  # deep repetition
        piece = draw.choice(MARKS)
        return (piece * draw.choice((2, 100, 5_000)))[:MAX_LENGTH]
    if kind == 2:  # any characters but surrogates
        return "".join(chr(draw.choice((draw.randrange(0x80), draw.randrange(0xD800)))) for _ in range(50))
    if kind == 3:
        return draw.choice(("", " ", "\u00a0\u2003", "\u200b"))
    parts = draw.choices((*MARKS, *CONTROLS), k=draw.randrange(1, 12)) + draw.choices(WORDS, k=3)
    draw.shuffle(parts)
    return draw.choice(("", " ")).join(parts)


def hostile_dump(count: int, seed: int) -> bytes:
    """Return a CSV file with `count` records and labels. Texts contain NUL, too."""
    draw = random.Random(seed)
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["tweet_id", "safe_text", "label", "agreement"])
    for number in range(count):
        writer.writerow([f"H{number}", hostile_text(draw), draw.choice((-1, 0, 1)), 1])
    return content.getvalue().encode()
