"""Regular expression for Unicode emoji, generated from the table of the package `emoji`.

Ranges of code points would split families, flags and skin tones. The table contains complete sequences (ZWJ
sequences, skin tones, flags, keycaps, with and without variation selector). The pattern is the trie of this
table.
"""

from collections.abc import Iterable
from functools import cache

from emoji import EMOJI_DATA

Trie = dict[str, "Trie"]
# U+20E3 turns a digit into a keycap. Variation selectors choose between text and picture.
KEYCAP = 0x20E3
VARIATION_SELECTORS = range(0xFE00, 0xFE10)

END = ""  # key at the end of a sequence in a Trie


def build_trie(sequences: Iterable[str]) -> Trie:
    """Return the prefix tree of `sequences`, with one level for each code point."""
    root: Trie = {}
    for sequence in sequences:
        node = root
        for character in sequence:
            node = node.setdefault(character, {})
        node[END] = {}
    return root


def build_pattern(node: Trie) -> str:
    """Return a pattern for the longest sequence below a node.

    Branches with equal ends share a character class.
    """
    branches: dict[str, list[str]] = {}
    for character, below in node.items():
        if character != END:
            branches.setdefault(build_pattern(below), []).append(character)
    alternatives = [character_class(map(ord, characters)) + rest for rest, characters in branches.items()]
    if not alternatives:
        return ""
    joined = (
        alternatives[0] if len(alternatives) == 1 and END not in node else f"(?:{'|'.join(alternatives)})"
    )
    return joined + "?" if END in node else joined


def character_class(points: Iterable[int], gap: int = 0) -> str:
    r"""Return a character class for code points. Points with at most `gap` others between them share a range.

    >>> character_class(map(ord, "cab"))
    '[\\U00000061-\\U00000063]'
    """
    ranges: list[tuple[int, int]] = []
    for point in sorted(points):
        if ranges and point <= ranges[-1][1] + gap + 1:
            ranges[-1] = (ranges[-1][0], point)
        else:
            ranges.append((point, point))
    return (
        "["
        + "".join(rf"\U{low:08X}" if low == high else rf"\U{low:08X}-\U{high:08X}" for low, high in ranges)
        + "]"
    )


@cache
def emoji_pattern() -> str:
    """Return the pattern of one emoji, as long as possible."""
    return build_pattern(build_trie(EMOJI_DATA))


@cache
def emoji_hint_pattern() -> str:
    """Return a class of few ranges that matches a character of every emoji.

    It also matches some rare characters.
    """
    starts = {ord(character) for character in build_trie(EMOJI_DATA) if not character.isascii()}
    return character_class(starts | {KEYCAP, *VARIATION_SELECTORS}, gap=0xFF)
