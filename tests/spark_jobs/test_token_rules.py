"""Each cleaning rule on rows that each prove one thing about it. Every text is invented."""

import time
from collections.abc import Callable
from html import unescape
from html.entities import html5

import emoji
import pytest

from spark_jobs.cleaning import token_rules as rules

Case = tuple[str, object]


def check(rule: Callable[[str], object], cases: list[Case]) -> None:
    assert {text: rule(text) for text, _ in cases} == dict(cases)


def test_html_entities_are_decoded_once() -> None:
    check(
        rules.decode_html_entities,
        [
            # what Twitter writes
            ("safe &amp; sound &lt;3 &gt;", "safe & sound <3 >"),
            # once: what was escaped twice stays escaped
            ("&amp;lt; &amp;amp;", "&lt; &amp;"),
            ("&amp;lt; &ldquo;", "&lt; “"),
            # names, numbers, hexadecimal numbers, beyond the basic plane
            ("&ldquo;jab&rdquo; &#39;tis &#x2019; &#128137;", "“jab” 'tis ’ 💉"),
            # numbers that browsers read as Windows-1252
            ("it&#146;s", "it’s"),
            # no such number, no such name, no semicolon: as they are, or the replacement character
            ("&#0; &#xD800; &#99999999;", "\ufffd \ufffd \ufffd"),
            ("&vaccine; &copy=1 AT&T & &; &&amp;", "&vaccine; &copy=1 AT&T & &; &&"),
            # a name decoded to a text that is longer than a character
            ("&NotEqualTilde;", "≂̸"),
            ("", ""),
        ],
    )


def test_html_entities_are_those_of_the_standard_library() -> None:
    texts = [f"a &{name} b" for name in html5 if name.endswith(";")] + [
        f"a &#{number}; b" for number in (9, 127, *range(129, 0x2100, 7))
    ]
    expected = [unescape(text) for text in texts]
    # html.unescape drops control characters that HTML forbids, the rule keeps them: punctuation goes later
    differing = [
        text for text, want in zip(texts, expected, strict=True) if rules.decode_html_entities(text) != want
    ]
    assert [text for text in differing if not 127 <= int(text[4:-3]) < 160] == []


def test_urls_with_a_scheme_are_removed_whole() -> None:
    check(
        rules.strip_urls_with_scheme,
        [
            ("https://github.com/foo", " "),
            ("HTTP://Example.ORG/Path?x=1&y=2#frag rest", "  rest"),
            # a hash sign, a handle sign, brackets and accents belong to it
            ("see http://example.org/#news/@me_(film)/é.", "see  ."),
            # it does not end in a punctuation mark
            ("(https://example.org/a), then", "( ), then"),
            ("http://example.org/path.........", " ........."),
            # port, user-made hosts, addresses, other scripts
            ("http://example.org:8080/a http://10.0.0.1/x http://例え.テスト/あ", "     あ"),
            # letters of another script end it
            ("http://example.org/abcこれ", " これ"),
            # one that was cut off
            ("https://t.c… http://… https… http://", "       "),
            # a letter before it makes it a part of a word; `@` and `#` make it theirs
            ("xhttp://a.org #http://a.org", "xhttp://a.org #http://a.org"),
            ("no url: http, https and shttp", "no url: http, https and shttp"),
        ],
    )


def test_urls_without_a_scheme_need_a_known_domain_or_a_path() -> None:
    check(
        rules.strip_urls_without_scheme,
        [
            ("read example.com now", "read   now"),
            ("www.example.co.uk/a?b=c, 1.usa.gov/xYz bit.ly/abc t.co/x", " ,      "),
            ("EXAMPLE.ORG example.com#news", "   "),
            # people leave out the blank after a full stop
            ("vaccinated.So am I. done.It works.you see", "vaccinated.So am I. done.It works.you see"),
            # an e-mail address, a handle, a hashtag
            ("me@example.com @a.com #a.com", "me@example.com @a.com #a.com"),
            # a longer name that begins like a domain
            ("foo.comm foo.com-pany e.g. 3.5 U.S.A.", "foo.comm foo.com-pany e.g. 3.5 U.S.A."),
            # letters of another script around it
            ("これはexample.comです", "これは です"),
        ],
    )


def test_handles_are_removed_but_not_addresses() -> None:
    check(
        rules.strip_handles,
        [
            ("@nurse_1 thanks", "  thanks"),
            ("thanks @nurse!", "thanks  !"),
            # any script may stand around it
            ("の@nurseさん", "の さん"),
            # a list of a user
            ("see @nurse/my-list_1 ok", "see   ok"),
            # directly after the retweet marker
            ("RT@nurse RT:@nurse rt @nurse", "RT  RT:  rt  "),
            # an e-mail address, a sign alone, a face
            ("me@example.org @ @_@ f@@kn #@no", "me@example.org @ @_@ f@@kn #@no"),
            # before a URL, or before an accented letter, it is none
            ("@http://example.org @aliceì", "@http://example.org @aliceì"),
            # at most 20 characters
            ("@abcdefghijklmnopqrstuvwxyz", " uvwxyz"),
            # what follows it directly is no hashtag
            ("@nurse#flu", " flu"),
        ],
    )


def test_placeholders_and_full_width_signs_are_rewritten() -> None:
    def all_three(text: str) -> str:
        return rules.strip_handle_placeholders(
            rules.strip_url_placeholders(rules.fold_full_width_signs(text))
        )

    check(
        all_three,
        [
            ("<user><user> a <url>b", "   a  b"),
            ("＃flu ＠nurse", "#flu @nurse"),
            ("<User> <URL> < user>", "<User> <URL> < user>"),
        ],
    )


def test_retweet_markers_are_removed_as_words_only() -> None:
    check(
        rules.strip_retweet_markers,
        [
            ("RT  : text", "   : text"),
            ("OMG. Rt  x, rt  y", "OMG.    x,    y"),
            ("“RT: x”", "“ : x”"),
            # inside words, before an apostrophe, in the name of a laboratory test
            (
                "ART SMART RTs part heart RT's RT-PCR ART1 _RT",
                "ART SMART RTs part heart RT's RT-PCR ART1 _RT",
            ),
            # in small letters only after a blank
            ("(rt) rt", "(rt)  "),
        ],
    )


HASHTAGS: list[tuple[str, list[str], str]] = [
    # without `#` and punctuation, in the case in which they were written
    ("#VaccinesWork!! yes", ["VaccinesWork"], " !! yes"),
    ("(#flu) #flu,#mmr", ["flu", "flu", "mmr"], "( )  , "),
    # any script, combining marks, joiners, underscores, digits beside letters
    (
        "#लसीकरण #ワクチン #تطعيم #il·lusió #flu_2026 #2nd",
        ["लसीकरण", "ワクチン", "تطعيم", "il·lusió", "flu_2026", "2nd"],
        "           ",
    ),
    # not after a letter, a digit or `&`
    ("a#flu 1#flu &#flu é#flu", [], "a#flu 1#flu &#flu é#flu"),
    # not digits alone, not signs alone
    ("#1 #2026 #_ # ## #!", [], "#1 #2026 #_ # ## #!"),
    # not before another `#` or `://`
    ("#flu#mmr #http://a", [], "#flu#mmr #http://a"),
    # an emoji ends it and stays; a keycap is none
    ("#flu💉 #flu❤️ #️⃣", ["flu", "flu"], " 💉  ❤️ #️⃣"),
]


def test_hashtags_are_extracted_and_removed_alike() -> None:
    check(rules.extract_hashtags, [(text, tags) for text, tags, _ in HASHTAGS])
    check(rules.strip_hashtags, [(text, rest) for text, _, rest in HASHTAGS])


EMOJI: list[tuple[str, list[str], str]] = [
    ("I❤️💉", ["❤️", "💉"], "I  "),
    # ZWJ sequences, skin tones, flags, keycaps whole
    ("👩‍👩‍👧‍👦x👍🏽", ["👩‍👩‍👧‍👦", "👍🏽"], " x "),
    ("🇰🇪🇩🇪 🏴󠁧󠁢󠁳󠁣󠁴󠁿 1️⃣ 2⃣", ["🇰🇪", "🇩🇪", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "1️⃣", "2⃣"], "        "),
    # digits, signs, quotes, other scripts are none
    ("12 # * “ok” … 漢字 ٣", [], "12 # * “ok” … 漢字 ٣"),
    # a variation selector without an emoji goes
    ("a\ufe0fb", [], "a b"),
]


def test_emoji_are_extracted_and_removed_alike() -> None:
    check(rules.extract_emoji, [(text, found) for text, found, _ in EMOJI])
    check(rules.strip_emoji, [(text, rest) for text, _, rest in EMOJI])


def test_every_emoji_of_the_library_is_found_whole() -> None:
    sequences = list(emoji.EMOJI_DATA)
    found = {sequence: rules.extract_emoji(f"a{sequence}b") for sequence in sequences}
    assert {sequence: got for sequence, got in found.items() if got != [sequence]} == {}


def test_emoji_between_other_characters_are_those_the_library_finds() -> None:
    sequences = list(emoji.EMOJI_DATA)
    texts = [
        "".join(sequences[i::97][:40]) + "1 é#*\u200d" + " ".join(sequences[i::89][:40]) for i in range(89)
    ]
    expected = [[match["emoji"] for match in emoji.emoji_list(text)] for text in texts]
    assert [rules.extract_emoji(text) for text in texts] == expected


def test_punctuation_and_white_space() -> None:
    def both(text: str) -> str:
        return rules.collapse_white_space(rules.strip_punctuation(text))

    check(
        both,
        [
            # an apostrophe joins, other marks separate
            ("don't don’t", "dont dont"),
            ("safe,effective -- state-of-the-art...", "safe effective state of the art"),
            ("  “quoted”\t\r\n100% $5 + 1\u00a0a_b  ", "quoted 100 5 1 a b"),
            # letters, marks and digits of all scripts stay
            ("تَطعيم، 疫苗。 टीका! ٣ café e\u0301", "تَطعيم 疫苗 टीका ٣ café e\u0301"),
            # joiners inside a word of Persian or Hindi, soft hyphens
            ("می\u200cخواهم vac\u00adcine", "میخواهم vaccine"),
            # nothing is left
            ("!!! … _", ""),
            ("", ""),
        ],
    )


def test_no_rule_eats_what_another_needs() -> None:
    golden: list[tuple[str, list[str], list[str], str]] = [
        ("https://github.com/foo", [], [], ""),
        ("RT @user: #VaccinesWork!! I don't &amp; won't…", ["VaccinesWork"], [], "I dont wont"),
        # a `#` inside a URL is no hashtag, with and without scheme
        ("https://example.org/#flu example.org/#flu example.com#flu #real", ["real"], [], ""),
        ("ART 👩‍👩‍👧‍👦 I❤️💉", [], ["👩‍👩‍👧‍👦", "❤️", "💉"], "ART I"),
        # placeholders written as entities, a hashtag between them
        ("&lt;user&gt;#flu&lt;url&gt; x", ["flu"], [], "x"),
        # neighbours of what is removed do not become one word
        ("one<url>two@user three💉four", [], ["💉"], "one two three four"),
        # an entity that is a blank
        ("a&nbsp;b", [], [], "a b"),
        ("تطعيم الأطفال #لقاح", ["لقاح"], [], "تطعيم الأطفال"),
        ("接種しました！#ワクチン", ["ワクチン"], [], "接種しました"),
        ("💉", [], ["💉"], ""),
        ("<user> <url> !!", [], [], ""),
    ]
    cleaned = {text: rules.apply_rules(text) for text, *_ in golden}
    assert {text: (got.hashtags, got.emoji, got.words) for text, got in cleaned.items()} == {
        text: (tags, found, words) for text, tags, found, words in golden
    }


@pytest.mark.parametrize(
    "hostile",
    [
        "http://a.b/" + "(" * 20_000,
        "a." * 320_000,
        "#" * 20_000,
        "http://" + "a-" * 20_000,
        "&" * 20_000,
        "@a/" * 9_000,
    ],
)
def test_hostile_texts_take_no_more_than_linear_time(hostile: str) -> None:
    # A pattern that backtracks takes minutes to hours.
    started = time.process_time()
    rules.clean_token(hostile)
    assert time.process_time() - started < 8


def test_retweet_markers_beside_characters_that_are_not_drawn_are_no_words_but_count_in_the_group() -> None:
    cases = {
        # a variation selector, of an emoji or alone, a keycap, a grapheme joiner
        "\ufe0fRT x": "x",
        "❤️RT x": "x",
        "1️⃣Rt: x": "x",
        "\u034fRT x": "\u034f x",
        "RT\ufe0f x": "x",
        # drawn marks and letters make it a part of a word
        "e\u0301RT x": "e\u0301RT x",
        "ART\ufe0f x": "ART x",
        "RT\ufe0f-PCR": "PCR",
        "RT-PCR\ufe0f": "RT PCR",
    }
    assert {text: rules.apply_rules(text).words for text in cases} == cases
    assert rules.apply_rules("\ufe0fRT #flu x").normalised == "RTflux"
    assert rules.apply_rules("RT #flu x").normalised == "flux"


def test_a_scheme_in_any_case_makes_a_url() -> None:
    for text in ("hTTp://a.org", "http://a.org hTTp://B.org/c", "HttPS://a.org"):
        assert rules.apply_rules(text).words == ""


def test_unique_and_long_tokens_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rules.clean_short_token.cache_clear()
    long = "接種" * 100
    rules.clean_token(long)
    assert rules.clean_short_token.cache_info().currsize == 0
    for number in range(rules.CACHED_TOKENS + 10):
        rules.clean_short_token(f"{number}!")
    assert rules.clean_short_token.cache_info().currsize == rules.CACHED_TOKENS
