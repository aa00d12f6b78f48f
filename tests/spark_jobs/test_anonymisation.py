"""Placeholders for handles and links. Every name is invented."""

import time

import pytest

from spark_jobs.cleaning.token_rules import apply_rules

TEXTS = [
    ("RT @nurse: see https://example.org/a?b=1#c, please", "RT <user>: see <url>, please"),
    ("@a @b/list,@c.Yes (@d)", "<user> <user>,<user>.Yes (<user>)"),
    ("<user> &lt;user&gt; <url>", "<user> <user> <url>"),
    # entities are decoded once, and before handles are searched
    ("Q&amp;A &amp;lt; &#64;name", "Q&A &lt; <user>"),
    # stricter than twitter-text: e-mail, other networks, after letters, hidden characters, full width
    ("bob.s@example.org, @bob@example.social", "<user>, <user>"),
    ("x@name _@name @@name @nameé @\u200bname ＠name", "x<user> _<user> <user> <user>é <user> <user>"),
    ("meet @ home, 5@ each", "meet @ home, 5@ each"),
    ("nhttps://t.co/a ftp://example.org/a http://bob:pw@example.org/a", "n<url> <url> <url>"),
    ("www.example.health -example.com wait...bit.ly/a1 //bit.ly/a", "<url> -<url> wait...<url> //<url>"),
    # cut off
    ("https://t.c… http://…", "<url> <url>"),
    # without a scheme: a country code or classic domain, or a path with a digit
    ("bit.ly/abc t.me/name who.int/news example.news/a1", "<url> <url> <url> <url>"),
    ("Got it today.MMR/flu both", "Got it today.MMR/flu both"),
    (
        "good.news/bad at 5.p/m e.g./i.e. 1.5/2.5 no.Yes/no",
        "good.news/bad at 5.p/m e.g./i.e. 1.5/2.5 no.Yes/no",
    ),
    # blanks stay
    ("  @a  b ", "  <user>  b "),
]


@pytest.mark.parametrize(("text", "anonymous"), TEXTS)
def test_handles_and_links_become_placeholders(text: str, anonymous: str) -> None:
    assert apply_rules(text).text == anonymous


def test_words_after_a_missing_blank_are_kept() -> None:
    cleaned = apply_rules("Got it today.MMR/flu both")
    assert cleaned.words == "Got it today MMR flu both"
    # as before, so that the tweet keeps its group
    assert cleaned.normalised == "Gotitboth"


@pytest.mark.parametrize(
    "piece", ["@", "a@b.", "a-", "a.bb/c", "http://", "www.", "&#64;a", "..a", "@\u200b", "a.cc/("]
)
def test_anonymisation_takes_linear_time(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    started = time.process_time()
    apply_rules(text)
    assert time.process_time() - started < 5
