"""The cleaning rules, each a function of one text column, in the order in which `clean_tweets` applies them.

All are native Spark SQL. A costly pattern runs only where a cheap look (`contains`) finds that it can match: most tweets have no URL, no
emoji, no entity. What is removed leaves a blank, so that its neighbours never become one word.

No rule eats what the next one needs: URLs go before hashtags, because a `#` inside a URL is no hashtag; punctuation goes last, because a
URL or an emoji cut into pieces is no longer one. Every rule looks at the text between two blanks only (a test holds it to that), which is
what lets `vocabulary` collect the words of a table without cleaning its rows twice.
"""

import json
from functools import cache
from html import unescape
from html.entities import html5

from pyspark.sql import Column
from pyspark.sql import functions as F

from spark_jobs import twitter_patterns as patterns
from spark_jobs.emoji_pattern import emoji_hint_pattern, emoji_pattern

# Raise it with every change of a result: `clean_tweets` then cleans all tweets again.
RULES_VERSION = 1

# Characters that join two parts of one word: apostrophes (don't), zero-width joiners (Persian, Hindi), the soft hyphen.
WORD_JOINERS = ("'", "’", "\u200c", "\u200d", "\u00ad")
# What is neither letter, mark nor digit stands between words.
NOT_IN_A_WORD_NOR_BLANK = r"[^\p{L}\p{M}\p{N} ]"
NOT_IN_A_WORD = r"[^\p{L}\p{M}\p{N}]"

UNUSUAL_ENTITY = r"&(?!amp;|lt;|gt;)[#A-Za-z][A-Za-z0-9]*;"
ENTITY_AT_START = r"^(#[0-9]{1,8}|#[xX][0-9A-Fa-f]{1,7}|[A-Za-z][A-Za-z0-9]{1,31});"
REPLACEMENT_CHARACTER = "\ufffd"


def where(condition: Column, changed: Column, text: Column) -> Column:
    """`changed` where `condition` holds, otherwise `text` as it is."""
    return F.when(condition, changed).otherwise(text)


@cache
def named_entities() -> str:
    """HTML 5's named entities, and the numbers that it reads as Windows-1252, with their texts, as a JSON object."""
    named = {name.removesuffix(";"): text for name, text in html5.items() if name.endswith(";")}
    windows_1252 = {str(number): unescape(f"&#{number};") for number in range(128, 160)}
    return json.dumps(named | windows_1252)


def decode_html_entities(text: Column) -> Column:
    """`&amp;`, `&ldquo;`, `&#39;`, `&#x27;` -> the characters they stand for, once: `&amp;lt;` becomes `&lt;`.

    As Python's html.unescape, except that an entity ends in `;` (`?a=1&copy=2` is no ©) and that invalid numbers become U+FFFD.
    """
    pieces = F.split(text, "&")
    decoded = F.concat(pieces[0], F.array_join(F.transform(F.slice(pieces, 2, F.size(pieces)), decode_entity_at_start), ""))
    # The three that Twitter itself writes; `&amp;` last, so that it makes no new ones.
    usual = text
    for entity, meaning in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        usual = F.replace(usual, F.lit(entity), F.lit(meaning))
    return F.when(~text.contains("&"), text).when(text.rlike(UNUSUAL_ENTITY), decoded).otherwise(usual)


def decode_entity_at_start(piece: Column) -> Column:
    """What followed an `&`: with the entity at its start decoded, or, where there is none, with its `&` again."""
    entity = F.regexp_extract(piece, ENTITY_AT_START, 1)
    number = F.when(entity.rlike("^#[xX]"), F.conv(F.substring(entity, 3, 7), 16, 10)).otherwise(F.substring(entity, 2, 8)).cast("long")
    is_character = number.between(1, 0xD7FF) | number.between(0xE000, 0x10FFFF)
    named = F.from_json(F.lit(named_entities()), "map<string,string>")
    numbered = F.coalesce(
        F.element_at(named, number.cast("string")),
        F.when(is_character, F.decode(F.unhex(F.lpad(F.hex(number), 8, "0")), "UTF-32")),
        F.lit(REPLACEMENT_CHARACTER),
    )
    meaning = F.when(entity.startswith("#"), numbered).otherwise(F.element_at(named, entity))
    rest = F.regexp_replace(piece, "^[^;]*;", "")
    return F.coalesce(F.concat(F.when(entity != "", meaning), rest), F.concat(F.lit("&"), piece))


def fold_full_width_signs(text: Column) -> Column:
    """`＃` and `＠`, which Twitter reads as `#` and `@` -> those."""
    return F.replace(F.replace(text, F.lit("＃"), F.lit("#")), F.lit("＠"), F.lit("@"))


def strip_url_placeholders(text: Column) -> Column:
    """`<url>` -> blank."""
    return F.replace(text, F.lit(patterns.URL_PLACEHOLDER), F.lit(" "))


def strip_urls_with_scheme(text: Column) -> Column:
    """`https://example.org/a#b` -> blank."""
    return where(text.contains("ttp") | text.contains("TTP"), F.regexp_replace(text, patterns.URL_WITH_SCHEME, " "), text)


def strip_urls_without_scheme(text: Column) -> Column:
    """`example.org/a#b` -> blank."""
    return where(text.contains(".") & text.rlike(patterns.DOTTED), F.regexp_replace(text, patterns.URL_WITHOUT_SCHEME, " "), text)


def strip_handle_placeholders(text: Column) -> Column:
    """`<user>` -> blank."""
    return F.replace(text, F.lit(patterns.HANDLE_PLACEHOLDER), F.lit(" "))


def strip_handles(text: Column) -> Column:
    """`@name` -> blank; an e-mail address is no handle."""
    return where(text.contains("@"), F.regexp_replace(text, patterns.HANDLE, " "), text)


def strip_retweet_markers(text: Column) -> Column:
    """`RT` as a word -> blank."""
    possible = text.contains("RT") | text.contains("Rt") | text.contains(" rt") | text.startswith("rt")
    return where(possible, F.regexp_replace(text, patterns.RETWEET_MARKER, " "), text)


def extract_hashtags(text: Column) -> Column:
    """The names of the hashtags in the order of the text, in lower case."""
    return F.when(text.contains("#"), F.regexp_extract_all(F.lower(text), F.lit(patterns.HASHTAG), F.lit(1))).otherwise(no_strings())


def strip_hashtags(text: Column) -> Column:
    """`#name` -> blank."""
    return where(text.contains("#"), F.regexp_replace(text, patterns.HASHTAG, " "), text)


def can_hold_emoji(text: Column) -> Column:
    """Whether a look for emoji is worth its cost: keycaps too are not plain ASCII."""
    return (F.octet_length(text) > F.length(text)) & text.rlike(emoji_hint_pattern())


def extract_emoji(text: Column) -> Column:
    """The emoji in the order of the text, each sequence whole."""
    return F.when(can_hold_emoji(text), F.regexp_extract_all(text, F.lit(emoji_pattern()), F.lit(0))).otherwise(no_strings())


def strip_emoji(text: Column) -> Column:
    """An emoji -> blank, a variation selector without one too."""
    pattern = f"{emoji_pattern()}|[{patterns.EMOJI_MARKS}]"
    return where(can_hold_emoji(text), F.regexp_replace(text, pattern, " "), text)


def strip_punctuation(text: Column) -> Column:
    """Word joiners -> nothing (don't -> dont); any other run of characters that are in no word -> one blank."""
    for joiner in WORD_JOINERS:
        text = F.replace(text, F.lit(joiner), F.lit(""))
    return F.regexp_replace(text, f"{NOT_IN_A_WORD_NOR_BLANK}{NOT_IN_A_WORD}*+", " ")


def collapse_white_space(text: Column) -> Column:
    """One blank between words, none at the ends."""
    return F.trim(F.regexp_replace(text, "  +", " "))


def no_strings() -> Column:
    """An empty array<string>."""
    return F.array().cast("array<string>")
