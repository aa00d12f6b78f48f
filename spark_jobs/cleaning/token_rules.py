"""Cleaning rules: functions of a text, in the order in which `clean_token` applies them.

Each rule depends only on the text between two blanks (tests/properties checks this). So a job applies the
rules once to each distinct token instead of once to each row. A removed part is replaced by a blank, so that
its neighbours stay two words.

The order matters. URLs are removed before hashtags, because a `#` inside a URL is not a hashtag. Punctuation
is removed last, because URLs and emoji contain punctuation.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from html import unescape
from html.entities import html5
from typing import NamedTuple

import regex

from spark_jobs.cleaning import twitter_patterns as patterns
from spark_jobs.cleaning.anonymisation import replace_handles, replace_links
from spark_jobs.cleaning.emoji_pattern import emoji_hint_pattern, emoji_pattern
from spark_jobs.cleaning.twitter_patterns import compiled

# Increase it with every change of a result, so that `clean_tweets` cleans all tweets again.
RULES_VERSION = 3

# Characters within a word: apostrophes (don't), zero-width joiners (Persian, Hindi), the soft hyphen.
WORD_JOINERS = ("'", "’", "\u200c", "\u200d", "\u00ad")
# All characters but letters, marks and digits separate words.
NOT_IN_A_WORD = r"[^\p{L}\p{M}\p{N}]"
NOT_IN_A_WORD_NOR_BLANK = r"[^\p{L}\p{M}\p{N} ]"
ENTITY = r"&(?:#([0-9]{1,8})|#[xX]([0-9A-Fa-f]{1,7})|([A-Za-z][A-Za-z0-9]{1,31}));"
REPLACEMENT_CHARACTER = "\ufffd"

# Cache of a worker, at most about 50 MB. Because the frequencies of words follow Zipf's law, most tokens hit
# it.
CACHED_TOKENS = 1 << 17
MAX_CACHED_TOKEN_LENGTH = 40


def decode_html_entities(text: str) -> str:
    """Decode entities such as `&amp;`, `&ldquo;`, `&#39;`, `&#x27;` once: `&amp;lt;` becomes `&lt;`.

    It differs from html.unescape: an entity must end in `;` (`?a=1&copy=2` has no ©), and invalid numbers
    become U+FFFD.
    """
    return compiled(ENTITY).sub(decode_entity, text) if "&" in text else text


def decode_entity(entity: "regex.Match[str]") -> str:
    """Return the characters of a match of ENTITY, or the match itself if HTML 5 has no such name."""
    decimal, hexadecimal, name = entity.groups()
    if name is not None:
        return html5.get(f"{name};", entity[0])
    number = int(hexadecimal, 16) if decimal is None else int(decimal)
    if 128 <= number < 160:  # browsers read these as Windows-1252
        return unescape(f"&#{number};")
    return chr(number) if 1 <= number <= 0xD7FF or 0xE000 <= number <= 0x10FFFF else REPLACEMENT_CHARACTER


def fold_full_width_signs(text: str) -> str:
    """Replace `＃` and `＠` by `#` and `@`, as Twitter does."""
    return text.replace("＃", "#").replace("＠", "@")


def strip_url_placeholders(text: str) -> str:
    """Replace `<url>` by a blank."""
    return text.replace(patterns.URL_PLACEHOLDER, " ")


def strip_urls_with_scheme(text: str) -> str:
    """Replace URLs such as `https://example.org/a#b` by a blank."""
    return compiled(patterns.URL_WITH_SCHEME).sub(" ", text) if "ttp" in text.lower() else text


def strip_urls_without_scheme(text: str) -> str:
    """Replace URLs such as `example.org/a#b` by a blank."""
    return compiled(patterns.URL_WITHOUT_SCHEME).sub(" ", text) if "." in text else text


def strip_handle_placeholders(text: str) -> str:
    """Replace `<user>` by a blank."""
    return text.replace(patterns.HANDLE_PLACEHOLDER, " ")


def strip_handles(text: str) -> str:
    """Replace `@name` by a blank. E-mail addresses are not handles."""
    return compiled(patterns.HANDLE).sub(" ", text) if "@" in text else text


def strip_links(text: str) -> str:
    """Replace links and `<url>` by a blank."""
    return strip_url_placeholders(replace_links(text))


def strip_names(text: str) -> str:
    """Replace handles, e-mail addresses and `<user>` by a blank."""
    return strip_handle_placeholders(replace_handles(text))


def strip_retweet_markers(text: str) -> str:
    """Replace the word `RT` by a blank."""
    return compiled(patterns.RETWEET_MARKER).sub(" ", text) if "rt" in text.lower() else text


def strip_hidden_retweet_markers(text: str) -> str:
    """Replace `RT` next to an invisible character by a blank.

    The rule is separate from strip_retweet_markers because it must not apply to `normalised`: some tweets
    would change their `text_group`.
    """
    return (
        compiled(patterns.HIDDEN_RETWEET_MARKER).sub(" ", text)
        if "R" in text and not text.isascii()
        else text
    )


def extract_hashtags(text: str) -> list[str]:
    """Return the names of the hashtags in the order of the text."""
    return compiled(patterns.HASHTAG).findall(text) if "#" in text else []


def strip_hashtags(text: str) -> str:
    """Replace hashtags by a blank."""
    return compiled(patterns.HASHTAG).sub(" ", text) if "#" in text else text


def can_hold_emoji(text: str) -> bool:
    """Return whether a text may contain emoji. It is faster than the search. Keycaps are not ASCII either."""
    return not text.isascii() and compiled(emoji_hint_pattern()).search(text) is not None


def extract_emoji(text: str) -> list[str]:
    """Return the emoji in the order of the text, as complete sequences."""
    return compiled(emoji_pattern()).findall(text) if can_hold_emoji(text) else []


def strip_emoji(text: str) -> str:
    """Replace emoji and single variation selectors by a blank."""
    return (
        compiled(f"{emoji_pattern()}|[{patterns.EMOJI_MARKS}]").sub(" ", text)
        if can_hold_emoji(text)
        else text
    )


def strip_punctuation(text: str) -> str:
    """Delete word joiners (don't -> dont). Replace other sequences of non-word characters by a blank."""
    for joiner in WORD_JOINERS:
        text = text.replace(joiner, "")
    return compiled(f"{NOT_IN_A_WORD_NOR_BLANK}{NOT_IN_A_WORD}*+").sub(" ", text)


def collapse_white_space(text: str) -> str:
    """Leave one blank between words and none at the ends."""
    return " ".join(filter(None, text.split(" ")))


Rule = Callable[[str], str]
ANONYMISING: tuple[Rule, ...] = (
    decode_html_entities,
    fold_full_width_signs,
    replace_links,
    replace_handles,
)
BEFORE_HASHTAGS: tuple[Rule, ...] = (
    strip_url_placeholders,
    strip_handle_placeholders,
    strip_retweet_markers,
)
# For `normalised` instead of the two tuples above. Never change them: tweets would change their `text_group`.
BEFORE_NORMALISING: tuple[Rule, ...] = (
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
# Also for `normalised`: a change would change the `text_group` of tweets.
LAST: tuple[Rule, ...] = (strip_emoji, strip_punctuation, collapse_white_space)
# The same rules for a report: a placeholder is replaced and removed in one step.
REMOVING_RULES: tuple[Rule, ...] = (
    decode_html_entities,
    fold_full_width_signs,
    strip_links,
    strip_names,
    strip_retweet_markers,
    *WORDS_ONLY,
    *LAST,
)


class CleanedToken(NamedTuple):
    """Result of the rules for a token or a text."""

    words: str  # separated by single blanks
    normalised: str  # words including those of hashtags, without blanks; `text_group` is its hash
    hashtags: list[str]
    emoji: list[str]
    text: str  # without handles, links and entities


def clean_token(token: str) -> CleanedToken:
    """Apply the rules, with a cache. They do not change the case."""
    return clean_short_token(token) if len(token) <= MAX_CACHED_TOKEN_LENGTH else apply_rules(token)


def apply_all(rules: Iterable[Rule], text: str) -> str:
    """Apply rules in their order."""
    for rule in rules:
        text = rule(text)
    return text


def apply_rules(text: str) -> CleanedToken:
    """Apply every rule, without a cache."""
    anonymous = apply_all(ANONYMISING, text)
    tagged = apply_all(BEFORE_HASHTAGS, anonymous)
    plain = apply_all(WORDS_ONLY, tagged)
    words = apply_all(LAST, plain)
    grouped = apply_all(BEFORE_NORMALISING, text)
    normalised = words if plain == grouped else apply_all(LAST, grouped)
    return CleanedToken(
        words, normalised.replace(" ", ""), extract_hashtags(tagged), extract_emoji(plain), anonymous
    )


clean_short_token = lru_cache(CACHED_TOKENS)(apply_rules)
