"""Rows cleaned in Arrow, without Spark. Every text is invented."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pytest

from spark_jobs.cleaning import rows
from spark_jobs.cleaning.token_rules import apply_rules

STEMS = {
    "the": None,
    "shots": "shot",
    "work": "work",
    "a": None,
    "and": None,
    "b": "b",
    "flu": "flu",
    "theflu": "flu",
}


def batch_of(texts: list[str]) -> pa.RecordBatch:
    return pa.record_batch(
        [pa.array(range(len(texts))), pa.array(texts, pa.string())], ["number", "safe_text"]
    )


def with_stems(chunks: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What Spark makes of the first step's rows."""
    for chunk in chunks:
        stems = [words and [STEMS[word] for word in words] for words in chunk.column("words").to_pylist()]
        yield chunk.append_column("stems", pa.array(stems, pa.list_(pa.string())))


def clean(*batches: pa.RecordBatch) -> list[dict[str, object]]:
    chunks = list(with_stems(rows.find_tokens("safe_text")(batches)))
    assert sum(chunk.num_rows for chunk in chunks) == sum(batch.num_rows for batch in batches)
    cleaned = [row for batch in rows.join_tokens(chunks) for row in batch.to_pylist()]
    assert [row.pop("number") for row in cleaned] == [
        number for batch in batches for number in batch.column("number").to_pylist()
    ]
    return [{key: value for key, value in row.items() if key != "safe_text"} for row in cleaned]


def words_asked_for(*texts: list[str]) -> list[list[str]]:
    return [
        sorted(chunk.column("words").to_pylist()[0])
        for chunk in rows.find_tokens("safe_text")(map(batch_of, texts))
    ]


def test_each_row_gets_what_the_rules_make_of_its_tokens_in_their_order() -> None:
    texts = ["The #Flu shots, #a;#b 💉 WORK!", "", "  the  ", "work💉💉shots", "#Flu"]
    names = ("text", "hashtags", "emoji", "clean_text", "stemmed_text", "normalised")
    expected = [
        (texts[0], ["Flu", "a", "b"], ["💉"], "The shots WORK", "shot work", "TheFlushotsabWORK"),
        ("", [], [], "", "", ""),
        ("  the  ", [], [], "the", "", "the"),
        ("work💉💉shots", [], ["💉", "💉"], "work shots", "work shot", "workshots"),
        ("#Flu", ["Flu"], [], "", "", "Flu"),
    ]
    assert clean(batch_of(texts)) == [dict(zip(names, row, strict=True)) for row in expected]


def test_handles_links_and_damage_are_removed_from_the_text_but_not_from_what_is_hashed() -> None:
    texts = [r"@a @a: the\nshots https://t.co/a1 &amp;", "theâ€™flu b #worksâ€¦", "the flu"]
    expected = [
        # undamaged, `the\nshots` would be one token with a backslash
        ("<user> <user>: the\nshots <url> &", [], "the shots", "shot", "thenshots"),
        # the mojibake contains letters, which stay in the hashed text: the repaired tweet keeps its group
        ("the’flu b #works…", ["works"], "theflu b", "flu b", "theâflubworksâ"),
        ("the flu", [], "the flu", "flu", "theflu"),
    ]
    names = ("text", "hashtags", "clean_text", "stemmed_text", "normalised")
    cleaned = clean(batch_of(texts))
    assert [{name: row[name] for name in names} for row in cleaned] == [
        dict(zip(names, row, strict=True)) for row in expected
    ]
    assert [row["normalised"] for row in cleaned] == [apply_rules(text).normalised for text in texts]


def test_a_slice_of_a_batch_is_cleaned_by_itself() -> None:
    assert [row["clean_text"] for row in clean(batch_of(["the flu", "work", "shots", "a"]).slice(1, 2))] == [
        "work",
        "shots",
    ]


def test_a_batch_without_rows_is_cleaned() -> None:
    assert clean(batch_of([])) == []


@pytest.mark.parametrize(
    "token",
    [
        "vaccine",
        "H1N1",
        "(flu)",
        "flu.",
        "RT",
        "rt",
        "Rt",
        "rT",
        '"RT"',
        "rt:",
        "...",
        "",
        "http:",
        "https://t.co/aB1",
        "(@a)",
        "flu.co",
    ],
)
def test_a_token_that_no_rule_is_tried_on_comes_out_as_by_the_rules(token: str) -> None:
    (cleaned,) = rows.clean_distinct_tokens(pa.array([token])).to_pylist()
    assert cleaned == apply_rules(token)._asdict()


def test_the_stem_of_a_word_is_asked_for_once_and_only_where_a_row_needs_it() -> None:
    # links, numbers and texts without blanks have none
    texts = ["Flu flu, shots-work https://t.co/a1 12345 接種しました"], ["flu #tag work the"]
    assert words_asked_for(*texts) == [["flu", "shots", "work"], ["the"]]
    assert [row["stemmed_text"] for row in clean(*map(batch_of, texts))] == [
        "flu flu shot work 12345 接種しました",
        "flu work",
    ]


def test_words_are_forgotten_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_CACHED_WORDS", 1)
    texts = ["flu shots"], ["work flu"], ["work"]
    assert words_asked_for(*texts) == [["flu", "shots"], ["flu", "work"], ["work"]]
    assert [row["stemmed_text"] for row in clean(*map(batch_of, texts))] == ["flu shot", "work flu", "work"]


def test_long_texts_are_cleaned_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "CHUNK_BYTES", 6)
    texts = ["the flu", "a", "", "work and shots", "work"]
    assert [chunk.num_rows for chunk in rows.find_tokens("safe_text")([batch_of(texts)])] == [1, 3, 1]
    assert [row["clean_text"] for row in clean(batch_of(texts))] == texts


def test_a_word_that_was_given_no_stem_is_an_error() -> None:
    _, later = with_stems(rows.find_tokens("safe_text")([batch_of(["flu"]), batch_of(["flu"])]))
    with pytest.raises(KeyError, match="flu"):
        list(rows.join_tokens([later]))
