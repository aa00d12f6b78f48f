"""Property: no handle and no link of a tweet is in `text` or `clean_text`, whatever is around it."""

import re

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.properties.test_cleaning_properties import PIECES, clean_rows

NAME = st.from_regex(r"canary[A-Za-z0-9_]{0,12}", fullmatch=True)
DOMAIN = st.sampled_from(
    ["example.com", "Example.co.uk", "canary.org", "www.canary.health", "bit.ly", "youtu.be", "t.co"]
)
HANDLE = st.one_of(
    st.builds("{}{}".format, st.sampled_from(["@", "＠", "&#64;", "@@", "RT @", r"\u0040", "@\u200b"]), NAME),
    st.builds("{}@example.org".format, NAME),
    st.builds("@{}@example.social".format, NAME),
)
LINK = st.one_of(
    st.builds(
        "{}{}/{}".format,
        st.sampled_from(["http://", "https://", "HTTPS://", "ftp://"]),
        st.sampled_from(["t.co", "example.news", "例え.jp", "10.0.0.1:80"]),
        NAME,
    ),
    st.builds("https://{}:pw@example.org/a".format, NAME),
)
# Without a scheme, twitter-text finds no link after a letter, `@`, `#` or `$`.
BARE_LINK = st.builds(
    "{}{}/{}".format, st.sampled_from([" ", " (", " “", " !", " -", " /", " ..."]), DOMAIN, NAME
)
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\\")
CONTEXT = st.lists(
    st.one_of(st.sampled_from([*PIECES, r"\n", r"C:\new", "â€™", "ðŸ’‰"]), CHARACTERS), max_size=6
).map("".join)
PARTS = st.lists(st.tuples(CONTEXT, st.one_of(HANDLE, LINK, BARE_LINK), CONTEXT), min_size=20, max_size=20)


@settings(max_examples=150, deadline=None, phases=[Phase.generate])
@given(PARTS)
def test_no_handle_and_no_link_is_in_the_text(parts: list[tuple[str, str, str]]) -> None:
    for row in clean_rows(["".join(part) for part in parts]):
        assert "canary" not in f"{row['text']} {row['clean_text']}".lower(), row["safe_text"]
        assert re.search(r"[@＠][A-Za-z0-9_]|https?://|ftp://", str(row["text"])) is None, row["safe_text"]
