r"""Hashtags, handles and URLs of a tweet: twitter-text as patterns for the module `regex`, version 1.

Source of the grammar: twitter-text 3 (https://github.com/twitter/twitter-text), its tests `extract.yml`.
Comments explain differences. `token_rules.fold_full_width_signs` has already replaced `＃` and `＠` by `#`
and `@`. Possessive quantifiers (`++`, `*+`) guarantee linear time on malicious texts. The patterns contain
both cases of letters, because `(?i)` of `regex` also matches `ſ` for `s` and `İ` for `i`.
"""

from functools import cache

import regex

# Marks that change the appearance of a character. They do not belong to a hashtag, so that an emoji after it
# stays an emoji (in twitter-text they do).
EMOJI_MARKS = r"\uFE00-\uFE0F\u20E0-\u20E4"
LETTERS = r"\p{L}\p{M}"
# Other characters of a hashtag: joiners and word dots of Hebrew, Japanese, Tibetan, Catalan ...
TAG_SPECIALS = (
    r"_\u200C\u200D\uA67E\u05BE\u05F3\u05F4\uFF5E\u301C\u309B\u309C\u30A0\u30FB\u3003\u0F0B\u0F0C\u00B7"
)
TAG_CHARACTER = rf"[[{LETTERS}\p{{Nd}}{TAG_SPECIALS}]--[{EMOJI_MARKS}]]"
TAG_LETTER = rf"[[{LETTERS}]--[{EMOJI_MARKS}]]"

# Not after a letter, a digit or `&`, not before another `#` or `://`, with at least one letter. Group 1 is
# the name.
HASHTAG = (
    rf"(?<!&|{TAG_CHARACTER})#(?![\uFE0F\u20E3])(?=[\p{{Nd}}{TAG_SPECIALS}]*+{TAG_LETTER})"
    rf"({TAG_CHARACTER}++)(?!#|://)"
)

LATIN = r"A-Za-z0-9\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u024F\u1E00-\u1EFF"
# Not after a letter, a digit (an e-mail address) or most signs, except after RT or RT: ; includes a user's
# list, `@user/list`, and a `#` that follows immediately, which is not a hashtag in twitter-text.
HANDLE = (
    r"(?:(?<![A-Za-z0-9_!#$%&*@])|(?<=(?:^|[^A-Za-z0-9_+~.\-])[rR][tT]:?))@++"
    rf"[A-Za-z0-9_]{{1,20}}+(?:/[A-Za-z][A-Za-z0-9_\-]{{0,24}}+)?(?![@\u00C0-\u024F]|://)"
    rf"(?:#(?={TAG_CHARACTER}))?"
)

WHITE_SPACE = r" \t\n\x0B\f\r"
# Characters within a path, but not at its end. Balanced brackets are allowed everywhere.
PATH_INNER = r"[!*';:,.$%\[\]\u2013\~|\&@]"
BRACKETED = rf"\([^{WHITE_SPACE}()]*+(?:\([^{WHITE_SPACE}()]*+\)[^{WHITE_SPACE}()]*+)?\)"
PATH_ENDING = rf"(?:[{LATIN}\u0400-\u04FF=_#/+\-]|{BRACKETED})"
QUERY_INNER = r"[!?*'();:$%\[\].,\~|@+]"
QUERY_ENDING = r"[A-Za-z0-9_\&=#/\-]"
# Port, path, query, and a fragment directly after the domain (`who.int#news`), which is not a hashtag in
# twitter-text.
URL_TAIL = (
    rf"(?::[0-9]++)?(?:/(?:{PATH_INNER}*+{PATH_ENDING})*+)?(?:\?(?:{QUERY_INNER}*+{QUERY_ENDING})++)?"
    rf"(?:#(?:{PATH_INNER}*+{PATH_ENDING})*+)?"
)
LABEL = rf"[{LATIN}]++(?:[-_]++[{LATIN}]++)*+\."
UNICODE_LABEL_CHARACTER = rf"[^{WHITE_SPACE}\p{{Z}}\p{{P}}\p{{S}}]"
UNICODE_LABEL = rf"{UNICODE_LABEL_CHARACTER}++(?:-++{UNICODE_LABEL_CHARACTER}++)*+"
HOST = rf"(?:(?:{LABEL})+[A-Za-z]{{2,}}+|{UNICODE_LABEL}(?:\.{UNICODE_LABEL})*+)"
# With a scheme, any top-level domain is accepted. Truncated URLs (`https://t.c…`, `http://`) match too;
# otherwise their parts would become words.
URL_WITH_SCHEME = rf"(?<![A-Za-z0-9@$#])[hH][tT][tT][pP][sS]?(?:://(?:{HOST}{URL_TAIL})?…?|:?/?…)"


@cache
def compiled(pattern: str) -> "regex.Pattern[str]":
    """Compile a pattern in version 1 of `regex`, which has set operations."""
    return regex.compile(pattern, regex.VERSION1)


def either_case(names: str) -> str:
    """Return a pattern that matches alternatives in upper or lower case.

    >>> either_case("co|uk")
    '[cC][oO]|[uU][kK]'
    """
    return "".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in names)


# Without a scheme, twitter-text accepts every top-level domain, including `you`, `health`, `so`, `it`. But
# people omit the blank after a full stop: only 12 of 127 such matches in the 13,188 real tweets are URLs. So
# this pattern accepts the classic generic domains, .co, .tv, second levels of a country (`.co.uk`), and any
# domain with a path. A domain has at most 127 labels (RFC 1035). With more, the search would be quadratic.
URL_WITHOUT_SCHEME = (
    rf"(?<![{LATIN}@$#_./\-])(?:{LABEL}){{1,127}}"
    rf"(?:(?:{either_case('ac|co|com|edu|gov|net|org')})\.[A-Za-z]{{2}}(?![A-Za-z0-9@+\-])"
    rf"|(?:{either_case('com|net|org|edu|gov|mil|info|biz|co|tv')})(?![A-Za-z0-9@+\-])"
    rf"|[A-Za-z]{{2,}}+(?=/[{LATIN}])){URL_TAIL}"
)

# Crowdbreaks anonymises its data with these placeholders.
URL_PLACEHOLDER = "<url>"
HANDLE_PLACEHOLDER = "<user>"

# A whole word, not part of ART or RT-PCR (a laboratory test). In lower case only at the start or after a
# blank, as in `rt @user`.
RETWEET_MARKER = r"(?:(?<![\p{L}\p{M}\p{N}_'’\-])R[Tt]|(?<=^| )rt)(?![\p{L}\p{M}\p{N}_'’]|-\p{L})"
# Some invisible characters, such as U+FE0F, are marks. Next to them RETWEET_MARKER does not match.
VISIBLE = rf"[[\p{{L}}\p{{M}}\p{{N}}_'’]--[{EMOJI_MARKS}\p{{Default_Ignorable_Code_Point}}]]"
HIDDEN_RETWEET_MARKER = rf"(?<!{VISIBLE}|-)R[Tt](?!{VISIBLE}|-\p{{L}})"
