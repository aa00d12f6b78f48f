"""The emoji of Unicode as one regular expression, generated from the table of the `emoji` package.

A list of code point ranges would cut families, flags and skin tones apart. The table holds every sequence whole (ZWJ sequences, skin tones,
flags, keycaps, with and without variation selector), so the pattern is its trie.
"""

from collections.abc import Iterable
from functools import cache

from emoji import EMOJI_DATA

Trie = dict[str, "Trie"]
# The mark that makes a digit a keycap, and what chooses between text and picture.
KEYCAP = 0x20E3
VARIATION_SELECTORS = range(0xFE00, 0xFE10)

END = ""  # the key that marks the end of a sequence in a Trie


def trie_of(sequences: Iterable[str]) -> Trie:
    """The prefix tree of `sequences`, one level a code point."""
    root: Trie = {}
    for sequence in sequences:
        node = root
        for character in sequence:
            node = node.setdefault(character, {})
        node[END] = {}
    return root


def pattern_of(node: Trie) -> str:
    """A pattern for the longest sequence below `node`; branches that go on alike share one character class."""
    branches: dict[str, list[str]] = {}
    for character, below in node.items():
        if character != END:
            branches.setdefault(pattern_of(below), []).append(character)
    alternatives = [character_class(map(ord, characters)) + rest for rest, characters in branches.items()]
    if not alternatives:
        return ""
    joined = (
        alternatives[0] if len(alternatives) == 1 and END not in node else f"(?:{'|'.join(alternatives)})"
    )
    return joined + "?" if END in node else joined


def character_class(points: Iterable[int], gap: int = 0) -> str:
    r"""The code points as ranges of a character class; two with at most `gap` others between them share a range.

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
    """Matches one emoji, the longest there is."""
    return pattern_of(trie_of(EMOJI_DATA))


@cache
def emoji_hint_pattern() -> str:
    """A class of few ranges that holds a character of every emoji, and the variation selectors; others too, but none that most texts use."""
    starts = {ord(character) for character in trie_of(EMOJI_DATA) if not character.isascii()}
    return character_class(starts | {KEYCAP, *VARIATION_SELECTORS}, gap=0xFF)
