r"""Hashtags, handles and URLs of a tweet: the grammar of twitter-text as patterns for the module `regex`, version 1.

Source of the grammar: twitter-text 3 (https://github.com/twitter/twitter-text), described there by `extract.yml`. A comment says where a
pattern departs from it, and why. `token_rules.fold_full_width_signs` has already replaced `＃` and `＠` by `#` and `@`.
Possessive quantifiers (`++`, `*+`) keep the time linear on hostile texts. Letters of both cases are spelled out, because `(?i)` of `regex`
also matches `ſ` for `s` and `İ` for `i`.
"""

# Marks that only change how a character is drawn. They are no letters, so an emoji after a hashtag stays an emoji (twitter-text counts them
# as marks).
EMOJI_MARKS = r"\uFE00-\uFE0F\u20E0-\u20E4"
LETTERS = r"\p{L}\p{M}"
# What a hashtag may hold besides letters and digits: the joiners and word dots of Hebrew, Japanese, Tibetan, Catalan ...
TAG_SPECIALS = (
    r"_\u200C\u200D\uA67E\u05BE\u05F3\u05F4\uFF5E\u301C\u309B\u309C\u30A0\u30FB\u3003\u0F0B\u0F0C\u00B7"
)
TAG_CHARACTER = rf"[[{LETTERS}\p{{Nd}}{TAG_SPECIALS}]--[{EMOJI_MARKS}]]"
TAG_LETTER = rf"[[{LETTERS}]--[{EMOJI_MARKS}]]"

# Not after a letter, a digit or `&`; holds at least one letter; not before another `#` or `://`. Group 1 is the name.
HASHTAG = rf"(?<!&|{TAG_CHARACTER})#(?![\uFE0F\u20E3])(?=[\p{{Nd}}{TAG_SPECIALS}]*+{TAG_LETTER})({TAG_CHARACTER}++)(?!#|://)"

LATIN = r"A-Za-z0-9\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u024F\u1E00-\u1EFF"
# Not after a letter or digit (an e-mail address) nor most signs, except after RT or RT: ; with the list of a user, `@user/list`. A `#` right
# after it is removed too: twitter-text finds no hashtag there.
HANDLE = (
    r"(?:(?<![A-Za-z0-9_!#$%&*@])|(?<=(?:^|[^A-Za-z0-9_+~.\-])[rR][tT]:?))@++"
    rf"[A-Za-z0-9_]{{1,20}}+(?:/[A-Za-z][A-Za-z0-9_\-]{{0,24}}+)?(?![@\u00C0-\u024F]|://)(?:#(?={TAG_CHARACTER}))?"
)

WHITE_SPACE = r" \t\n\x0B\f\r"
# A path may hold, but not end in, these; balanced brackets may stand anywhere in it.
PATH_INNER = r"[!*';:,.$%\[\]\u2013\~|\&@]"
BRACKETED = rf"\([^{WHITE_SPACE}()]*+(?:\([^{WHITE_SPACE}()]*+\)[^{WHITE_SPACE}()]*+)?\)"
PATH_ENDING = rf"(?:[{LATIN}\u0400-\u04FF=_#/+\-]|{BRACKETED})"
QUERY_INNER = r"[!?*'();:$%\[\].,\~|@+]"
QUERY_ENDING = r"[A-Za-z0-9_\&=#/\-]"
# Port, path and query. A fragment right after the domain (`who.int#news`) is removed too: twitter-text finds no hashtag there.
URL_TAIL = rf"(?::[0-9]++)?(?:/(?:{PATH_INNER}*+{PATH_ENDING})*+)?(?:\?(?:{QUERY_INNER}*+{QUERY_ENDING})++)?(?:#(?:{PATH_INNER}*+{PATH_ENDING})*+)?"
LABEL = rf"[{LATIN}]++(?:[-_]++[{LATIN}]++)*+\."
UNICODE_LABEL_CHARACTER = rf"[^{WHITE_SPACE}\p{{Z}}\p{{P}}\p{{S}}]"
UNICODE_LABEL = rf"{UNICODE_LABEL_CHARACTER}++(?:-++{UNICODE_LABEL_CHARACTER}++)*+"
HOST = rf"(?:(?:{LABEL})+[A-Za-z]{{2,}}+|{UNICODE_LABEL}(?:\.{UNICODE_LABEL})*+)"
# With a scheme any host makes a URL, whatever its top-level domain. A URL that was cut off (`https://t.c…`, `http://`) is removed as well:
# what is left of it would be read as words.
URL_WITH_SCHEME = rf"(?<![A-Za-z0-9@$#])[hH][tT][tT][pP][sS]?(?:://(?:{HOST}{URL_TAIL})?…?|:?/?…)"


def either_case(names: str) -> str:
    """Alternatives in upper or lower case.

    >>> either_case("co|uk")
    '[cC][oO]|[uU][kK]'
    """
    return "".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in names)


# Without a scheme twitter-text accepts every top-level domain. Among them are `you`, `health`, `so`, `it`, and people leave out the blank
# after a full stop: of 127 such candidates in the 13,188 real tweets 12 are URLs. So: the classic generic domains and .co and .tv, a second
# level of a country (`.co.uk`), or any domain with a path.
URL_WITHOUT_SCHEME = (
    rf"(?<![{LATIN}@$#_./\-])(?:{LABEL})+"
    rf"(?:(?:{either_case('ac|co|com|edu|gov|net|org')})\.[A-Za-z]{{2}}(?![A-Za-z0-9@+\-])"
    rf"|(?:{either_case('com|net|org|edu|gov|mil|info|biz|co|tv')})(?![A-Za-z0-9@+\-])"
    rf"|[A-Za-z]{{2,}}+(?=/[{LATIN}])){URL_TAIL}"
)

# Crowdbreaks' data has these in place of what it hides.
URL_PLACEHOLDER = "<url>"
HANDLE_PLACEHOLDER = "<user>"

# As a word of its own: not in ART, nor in RT-PCR, a laboratory test that people who write about vaccines name. In lower case only at the
# start or after a blank, as in `rt @user`.
RETWEET_MARKER = r"(?:(?<![\p{L}\p{M}\p{N}_'’\-])R[Tt]|(?<=^| )rt)(?![\p{L}\p{M}\p{N}_'’]|-\p{L})"
# Some characters that are not drawn, such as U+FE0F, count as marks: beside one the pattern above takes RT for a part of a word.
VISIBLE = rf"[[\p{{L}}\p{{M}}\p{{N}}_'’]--[{EMOJI_MARKS}\p{{Default_Ignorable_Code_Point}}]]"
HIDDEN_RETWEET_MARKER = rf"(?<!{VISIBLE}|-)R[Tt](?!{VISIBLE}|-\p{{L}})"
