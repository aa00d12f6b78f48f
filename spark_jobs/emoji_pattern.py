"""The emoji of Unicode as one regular expression, generated from the table of the `emoji` package.

Java 17's patterns know no emoji property, and a list of code point ranges would cut families, flags and skin tones apart. The table
holds every sequence whole (ZWJ sequences, skin tones, flags, keycaps, with and without variation selector), so the pattern is its trie.
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
    alternatives = [character_class(characters) + rest for rest, characters in branches.items()]
    if not alternatives:
        return ""
    joined = alternatives[0] if len(alternatives) == 1 and END not in node else f"(?:{'|'.join(alternatives)})"
    return joined + "?" if END in node else joined


def character_class(characters: Iterable[str]) -> str:
    r"""The code points as ranges in Java's and Python's common notation, at least escaped as \uXXXX.

    >>> character_class("cab")
    '[\\u0061-\\u0063]'
    """
    ranges = ranges_of(map(ord, characters), gap=0)
    return "[" + "".join(escape(low) if low == high else f"{escape(low)}-{escape(high)}" for low, high in ranges) + "]"


def ranges_of(points: Iterable[int], gap: int) -> list[tuple[int, int]]:
    """The points as inclusive ranges in order; two with at most `gap` points between them are one.

    >>> ranges_of([1, 2, 5, 20], gap=2)
    [(1, 5), (20, 20)]
    """
    ranges: list[tuple[int, int]] = []
    for point in sorted(points):
        if ranges and point <= ranges[-1][1] + gap + 1:
            ranges[-1] = (ranges[-1][0], point)
        else:
            ranges.append((point, point))
    return ranges


def escape(point: int) -> str:
    """A code point in Java's notation."""
    return f"\\u{point:04X}" if point <= 0xFFFF else f"\\x{{{point:X}}}"


@cache
def emoji_pattern() -> str:
    """Matches one emoji, the longest there is, in Java's notation."""
    # Most characters of a tweet begin no emoji. Java looks through the ranges of a class one by one, and the exact class has 200.
    return f"(?=[0-9#*]\\x{{FE0F}}?\\x{{20E3}}|{emoji_hint_pattern()}){pattern_of(trie_of(EMOJI_DATA))}"


@cache
def emoji_hint_pattern() -> str:
    """A class of few ranges that holds a character of every emoji, and the variation selectors; others too, but not what most texts use."""
    starts = {ord(character) for character in trie_of(EMOJI_DATA) if not character.isascii()}
    marks = {KEYCAP, *VARIATION_SELECTORS}
    ranges = ranges_of(starts | marks, gap=0xFF)
    exact = "".join(f"{escape(low)}-{escape(high)}" for low, high in ranges)
    # Java tests an intersection from the left: one comparison settles every ASCII character (5 times as fast).
    return f"[{escape(ranges[0][0])}-{escape(ranges[-1][1])}&&[{exact}]]"
