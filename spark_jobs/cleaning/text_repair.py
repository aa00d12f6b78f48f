r"""Repair damaged encodings: mojibake (`â€™`, `ðŸ’‰`) and literal escapes (`\n`, `\u00e9`).

HTML entities are not decoded here but for each distinct token (token_rules.decode_html_entities).
"""

import ftfy
import pyarrow as pa
import pyarrow.compute as pc
import regex
from ftfy.badness import BADNESS_RE

# ftfy.fix_encoding repairs mojibake and C1 control characters only. Unlike ftfy.fix_text it does not change
# quotes, ligatures, character widths, line breaks, terminal escapes or normal forms.
MOJIBAKE = ftfy.TextFixerConfig(explain=False)
# Longer texts are repaired in slices, which bounds the memory and the number of ftfy's passes.
MAX_SLICE = 10_000

# Only a text that contains a literal escape or ftfy's signs of mojibake may need a repair. RE2 searches for
# ftfy's pattern in 0.4 us a tweet, Python's `re` in 30 us. RE2 lacks the verbose syntax, so that blanks and
# comments are dropped.
VERBOSE_SYNTAX = regex.compile(r"(\\.|\[(?:\\.|[^\]\\])*+\])|#[^\n]*+|\s++")
MAYBE_MOJIBAKE = VERBOSE_SYNTAX.sub(r"\1", BADNESS_RE.pattern).replace(r"\s", r"[\s\pZ]")
MAYBE_DAMAGED = rf"\\[nrtuUx]|{MAYBE_MOJIBAKE}"

HEX = "[0-9A-Fa-f]"
# Pairs of UTF-16 surrogates, single code points, bytes of UTF-8 (Python's representation of bytes). A doubled
# backslash escapes the backslash.
ESCAPE = regex.compile(
    rf"(?<!\\)(?:(?P<pair>\\u[dD][89abAB]{HEX}{{2}}\\u[dD][c-fC-F]{HEX}{{2}})|\\u(?P<short>{HEX}{{4}})"
    rf"|\\U(?P<long>000{HEX}{{5}}|0010{HEX}{{4}})|(?P<bytes>(?:\\x[c-fC-F]{HEX}(?:\\x[89abAB]{HEX}){{1,3}})++))"
)
# `\t` and `\r` between letters may be a separator: `MMR\rubella`.
ESCAPED_SPACE = regex.compile(r"(?<!\\)\\(n|(?:(?<!\p{L}\\)|(?=.(?!\p{Ll})))[rt])")
# Windows and network paths, regular expressions and LaTeX: their backslashes are meant.
MEANT_BACKSLASH = regex.compile(
    r"(?<![A-Za-z])[A-Za-z]:\\|\\\\[A-Za-z]|\[\^|\[\\|\(\?[:=!<]|\\[dDwWsSpPbB](?![A-Za-z])|\\[A-Za-z]++\{"
)


def repair_text(text: str) -> str:
    """Decode literal escapes and repair mojibake, in linear time. It never raises."""
    if "\\" in text:
        text = ESCAPE.sub(decode_escape, text)
        if not MEANT_BACKSLASH.search(text):
            text = ESCAPED_SPACE.sub(decode_space, text)
    if text.isascii():
        return text
    return "".join(repair_encoding(text[at : at + MAX_SLICE]) for at in range(0, len(text), MAX_SLICE))


def decode_escape(escape: "regex.Match[str]") -> str:
    """Return the characters of a match of ESCAPE, or the match itself if it encodes no text."""
    if escape["bytes"]:
        decoded = bytes.fromhex(escape["bytes"].replace(r"\x", "")).decode(errors="replace")
        return escape[0] if "\ufffd" in decoded else decoded
    if escape["pair"]:
        return bytes.fromhex(escape["pair"].replace(r"\u", "")).decode("utf-16-be")
    decoded = chr(int(escape["short"] or escape["long"], 16))
    # A decoded backslash could form an escape with the characters after it. C1 characters may be mojibake.
    is_text = decoded >= " " and decoded not in "\\\x7f" and not "\ud800" <= decoded <= "\udfff"
    return decoded if is_text or decoded in "\n\r\t" else escape[0]


def decode_space(escape: "regex.Match[str]") -> str:
    """Return the white space of one match of ESCAPED_SPACE."""
    return {"n": "\n", "r": "\r", "t": "\t"}[escape[1]]


def repair_encoding(text: str) -> str:
    """Repair mojibake, unless the result contains characters that a table cannot store."""
    try:
        repaired = ftfy.fix_encoding(text, MOJIBAKE)
        repaired.encode()
    except UnicodeError:
        return text
    return text if "\0" in repaired else repaired


def repair_texts(texts: pa.StringArray) -> pa.StringArray:
    """Apply `repair_text` to each text that may need it."""
    maybe = pc.match_substring_regex(texts, MAYBE_DAMAGED)
    repaired = [repair_text(text) for text in texts.filter(maybe).to_pylist()]
    return pc.replace_with_mask(texts, maybe, pa.array(repaired, pa.string()))
