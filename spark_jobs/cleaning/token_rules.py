"""The cleaning rules: plain functions of a text, in the order in which `clean_token` applies them.

Every rule looks at the text between two blanks only (a law in tests/properties holds it to that), so that a job applies the rules once to each
distinct token instead of once to each row. What a rule removes leaves a blank, so that its neighbours never become one word.

No rule removes what the next one needs: URLs go before hashtags, because a `#` inside a URL is no hashtag; punctuation goes last, because a
URL or an emoji cut into pieces is no longer one.
"""

from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from html import unescape
from html.entities import html5
from typing import NamedTuple

import regex

from spark_jobs.cleaning import twitter_patterns as patterns
from spark_jobs.cleaning.emoji_pattern import emoji_hint_pattern, emoji_pattern

# Raise it with every change of a result: `clean_tweets` then cleans all tweets again.
RULES_VERSION = 2

# Characters that join two parts of one word: apostrophes (don't), zero-width joiners (Persian, Hindi), the soft hyphen.
WORD_JOINERS = ("'", "’", "\u200c", "\u200d", "\u00ad")
# What is neither letter, mark nor digit stands between words.
NOT_IN_A_WORD = r"[^\p{L}\p{M}\p{N}]"
NOT_IN_A_WORD_NOR_BLANK = r"[^\p{L}\p{M}\p{N} ]"
ENTITY = r"&(?:#([0-9]{1,8})|#[xX]([0-9A-Fa-f]{1,7})|([A-Za-z][A-Za-z0-9]{1,31}));"
REPLACEMENT_CHARACTER = "\ufffd"

# A worker remembers so many tokens, none longer than this many characters: at most about 50 MB. Words follow Zipf's law, so this is enough;
# links and numbers, which never come again, and Chinese or Thai text, which has no blanks, push no frequent token out for long.
TOKENS_REMEMBERED = 1 << 17
LONGEST_TOKEN_REMEMBERED = 40


@cache
def compiled(pattern: str) -> "regex.Pattern[str]":
    """The pattern in version 1 of `regex`, which has set operations; compiled where it is first needed."""
    return regex.compile(pattern, regex.VERSION1)


def decode_html_entities(text: str) -> str:
    """`&amp;`, `&ldquo;`, `&#39;`, `&#x27;` -> the characters they stand for, once: `&amp;lt;` becomes `&lt;`.

    As html.unescape, except that an entity ends in `;` (`?a=1&copy=2` is no ©) and that invalid numbers become U+FFFD.
    """
    return compiled(ENTITY).sub(decode_entity, text) if "&" in text else text


def decode_entity(entity: "regex.Match[str]") -> str:
    """The characters that one match of ENTITY stands for; itself where HTML 5 has no such name."""
    decimal, hexadecimal, name = entity.groups()
    if name is not None:
        return html5.get(f"{name};", entity[0])
    number = int(hexadecimal, 16) if decimal is None else int(decimal)
    if 128 <= number < 160:  # browsers read these as Windows-1252
        return unescape(f"&#{number};")
    return chr(number) if 1 <= number <= 0xD7FF or 0xE000 <= number <= 0x10FFFF else REPLACEMENT_CHARACTER


def fold_full_width_signs(text: str) -> str:
    """`＃` and `＠`, which Twitter reads as `#` and `@` -> those."""
    return text.replace("＃", "#").replace("＠", "@")


def strip_url_placeholders(text: str) -> str:
    """`<url>` -> blank."""
    return text.replace(patterns.URL_PLACEHOLDER, " ")


def strip_urls_with_scheme(text: str) -> str:
    """`https://example.org/a#b` -> blank."""
    return compiled(patterns.URL_WITH_SCHEME).sub(" ", text) if "ttp" in text.lower() else text


def strip_urls_without_scheme(text: str) -> str:
    """`example.org/a#b` -> blank."""
    return compiled(patterns.URL_WITHOUT_SCHEME).sub(" ", text) if "." in text else text


def strip_handle_placeholders(text: str) -> str:
    """`<user>` -> blank."""
    return text.replace(patterns.HANDLE_PLACEHOLDER, " ")


def strip_handles(text: str) -> str:
    """`@name` -> blank; an e-mail address is no handle."""
    return compiled(patterns.HANDLE).sub(" ", text) if "@" in text else text


def strip_retweet_markers(text: str) -> str:
    """`RT` as a word -> blank."""
    return compiled(patterns.RETWEET_MARKER).sub(" ", text) if "rt" in text.lower() else text


def strip_hidden_retweet_markers(text: str) -> str:
    """`RT` beside a character that is not drawn -> blank.

    A rule of its own, applied to the words alone: `normalised` keeps these markers, so that no tweet changes its `text_group`.
    """
    return (
        compiled(patterns.HIDDEN_RETWEET_MARKER).sub(" ", text)
        if "R" in text and not text.isascii()
        else text
    )


def extract_hashtags(text: str) -> list[str]:
    """The names of the hashtags in the order of the text."""
    return compiled(patterns.HASHTAG).findall(text) if "#" in text else []


def strip_hashtags(text: str) -> str:
    """`#name` -> blank."""
    return compiled(patterns.HASHTAG).sub(" ", text) if "#" in text else text


def can_hold_emoji(text: str) -> bool:
    """Whether a search for emoji is worth its cost: keycaps too are not plain ASCII."""
    return not text.isascii() and compiled(emoji_hint_pattern()).search(text) is not None


def extract_emoji(text: str) -> list[str]:
    """The emoji in the order of the text, each sequence whole."""
    return compiled(emoji_pattern()).findall(text) if can_hold_emoji(text) else []


def strip_emoji(text: str) -> str:
    """An emoji -> blank, a variation selector without one too."""
    return (
        compiled(f"{emoji_pattern()}|[{patterns.EMOJI_MARKS}]").sub(" ", text)
        if can_hold_emoji(text)
        else text
    )


def strip_punctuation(text: str) -> str:
    """Word joiners -> nothing (don't -> dont); any other run of characters that are in no word -> one blank."""
    for joiner in WORD_JOINERS:
        text = text.replace(joiner, "")
    return compiled(f"{NOT_IN_A_WORD_NOR_BLANK}{NOT_IN_A_WORD}*+").sub(" ", text)


def collapse_white_space(text: str) -> str:
    """One blank between words, none at the ends."""
    return " ".join(filter(None, text.split(" ")))


Rule = Callable[[str], str]
BEFORE_HASHTAGS: tuple[Rule, ...] = (
    decode_html_entities,
    fold_full_width_signs,
    strip_url_placeholders,
    strip_urls_with_scheme,
    strip_urls_without_scheme,
    strip_handle_placeholders,
    strip_handles,
    strip_retweet_markers,
)
WORDS_ONLY: tuple[Rule, ...] = (strip_hashtags, strip_hidden_retweet_markers)
LAST: tuple[Rule, ...] = (strip_emoji, strip_punctuation, collapse_white_space)
REMOVING_RULES = (*BEFORE_HASHTAGS, *WORDS_ONLY, *LAST)


class CleanedToken(NamedTuple):
    """What the rules leave of a token, or of a whole text."""

    words: str  # separated by single blanks
    normalised: str  # the words and those of the hashtags, without blanks: what `text_group` is a hash of
    hashtags: list[str]
    emoji: list[str]


def clean_token(token: str) -> CleanedToken:
    """Applies the rules; upper and lower case stay as they are."""
    return clean_short_token(token) if len(token) <= LONGEST_TOKEN_REMEMBERED else apply_rules(token)


def apply_all(rules: Iterable[Rule], text: str) -> str:
    """One rule after the other."""
    for rule in rules:
        text = rule(text)
    return text


def apply_rules(text: str) -> CleanedToken:
    """Applies every rule; `clean_token` without its memory."""
    tagged = apply_all(BEFORE_HASHTAGS, text)
    plain = apply_all(WORDS_ONLY, tagged)
    words = apply_all(LAST, plain)
    normalised = words if plain == tagged else apply_all(LAST, tagged)
    return CleanedToken(words, normalised.replace(" ", ""), extract_hashtags(tagged), extract_emoji(plain))


clean_short_token = lru_cache(TOKENS_REMEMBERED)(apply_rules)
