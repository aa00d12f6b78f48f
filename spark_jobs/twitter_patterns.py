r"""What is a hashtag, a handle, a URL in a tweet: twitter-text's grammar as Java patterns.

Source of the grammar: twitter-text 3 (https://github.com/twitter/twitter-text), described there by `extract.yml`. Where the patterns here
depart from it, the comment says so and why. Java accepts look-behinds of bounded length only, and each pattern begins with a literal
character, by which Java finds candidates three times as fast as by a class: the look-behind comes after that character and therefore ends
in `.`. `＃` and `＠` have become `#` and `@` before (`text_rules.fold_full_width_signs`).
Possessive quantifiers (`++`, `*+`) keep hostile texts from taking more than linear time.
"""

# Emoji's own marks are no letters: a keycap or a heart after a hashtag stays an emoji (twitter-text counts them as marks).
EMOJI_MARKS = r"\uFE00-\uFE0F\u20E0-\u20E4"
LETTERS = r"\p{L}\p{M}"
# Characters that a hashtag may hold besides letters and digits: the joiners and word dots of Hebrew, Japanese, Tibetan, Catalan ...
TAG_SPECIALS = r"_\u200C\u200D\uA67E\u05BE\u05F3\u05F4\uFF5E\u301C\u309B\u309C\u30A0\u30FB\u3003\u0F0B\u0F0C\u00B7"
TAG_CHARACTER = rf"[{LETTERS}\p{{Nd}}{TAG_SPECIALS}&&[^{EMOJI_MARKS}]]"
TAG_LETTER = rf"[{LETTERS}&&[^{EMOJI_MARKS}]]"

# Not after a letter, a digit or `&`; holds at least one letter; not before another `#` or `://`. Group 1 is the name.
HASHTAG = (
    rf"#(?<!(?:&|{TAG_CHARACTER}).)(?![\uFE0F\u20E3])"
    rf"(?=[\p{{Nd}}{TAG_SPECIALS}]*+{TAG_LETTER})({TAG_CHARACTER}++)(?!#|://)"
)

LATIN = r"A-Za-z0-9\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u024F\u1E00-\u1EFF"
# Not after a letter or digit (an e-mail address) nor most signs, except after RT or RT: ; with the list of a user, `@user/list`. A `#` right
# after it goes too: twitter-text finds no hashtag there.
HANDLE = (
    r"@(?:(?<![A-Za-z0-9_!#$%&*@].)|(?<=(?:^|[^A-Za-z0-9_+~.\-])[rR][tT]:?.))@*+"
    rf"[A-Za-z0-9_]{{1,20}}+(?:/[A-Za-z][A-Za-z0-9_\-]{{0,24}}+)?(?![@\u00C0-\u024F]|://)(?:#(?={TAG_CHARACTER}))?"
)

# A path may hold, but not end in, these; balanced brackets may stand anywhere in it.
PATH_INNER = r"[!*';:,.$%\[\]\u2013~|&@]"
PATH_ENDING = rf"(?:[{LATIN}\u0400-\u04FF=_#/+\-]|\([^\s()]*+(?:\([^\s()]*+\)[^\s()]*+)?\))"
QUERY_INNER = r"[!?*'();:$%\[\].,~|@+]"
QUERY_ENDING = r"[A-Za-z0-9_&=#/\-]"
# Port, path and query. A fragment right after the domain (`who.int#news`) goes too: twitter-text finds no hashtag there.
URL_TAIL = rf"(?::[0-9]++)?(?:/(?:{PATH_INNER}*+{PATH_ENDING})*+)?(?:\?(?:{QUERY_INNER}*+{QUERY_ENDING})++)?(?:#(?:{PATH_INNER}*+{PATH_ENDING})*+)?"
LABEL = rf"[{LATIN}]++(?:[-_]++[{LATIN}]++)*+\."
UNICODE_LABEL = r"[^\s\p{Z}\p{P}\p{S}]++(?:-++[^\s\p{Z}\p{P}\p{S}]++)*+"
HOST = rf"(?:(?:{LABEL})+[A-Za-z]{{2,}}+|{UNICODE_LABEL}(?:\.{UNICODE_LABEL})*+)"
# With a scheme any host is one, known top-level domain or not, and one that was cut off (`https://t.c…`, `http://`) goes too: what is
# left of it would be read as words.
URL_WITH_SCHEME = rf"(?i:h)(?<![A-Za-z0-9@$#].)(?i:ttps?)(?:://(?:{HOST}{URL_TAIL})?…?|:?/?…)"

# Without a scheme twitter-text accepts every top-level domain. Among them are `you`, `health`, `so`, `it`, and people leave out the blank
# after a full stop: of 127 such candidates in the 13,188 real tweets 12 are URLs. So: the classic generic domains and .co and .tv, a second
# level of a country (`.co.uk`), or any domain with a path.
URL_WITHOUT_SCHEME = (
    rf"(?<![{LATIN}@$#_./\-])(?:{LABEL})+"
    r"(?:(?i:ac|co|com|edu|gov|net|org)\.[A-Za-z]{2}(?![A-Za-z0-9@+\-])"
    r"|(?i:com|net|org|edu|gov|mil|info|biz|co|tv)(?![A-Za-z0-9@+\-])"
    rf"|[A-Za-z]{{2,}}+(?=/[{LATIN}])){URL_TAIL}"
)
# A cheap look whether there can be one at all.
DOTTED = r"\.(?<=[^\s.]\.)[A-Za-z]{2}"

# Crowdbreaks' data has these in place of what it hides.
URL_PLACEHOLDER = "<url>"
HANDLE_PLACEHOLDER = "<user>"

# As a word of its own: not in ART, nor in RT-PCR, a laboratory test that people who write about vaccines name. In small letters only
# after a blank, as in `rt @user`.
RETWEET_MARKER = r"(?:R(?<![\p{L}\p{M}\p{N}_'’\-].)[Tt]|r(?<=(?:^| ).)t)(?![\p{L}\p{M}\p{N}_'’]|-\p{L})"
