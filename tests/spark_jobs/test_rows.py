"""Rows cleaned in Arrow, without Spark. Every text is invented."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from spark_jobs.cleaning import rows

STEMS = {"the": None, "shots": "shot", "work": "work", "a": None, "and": None, "flu": "flu"}


def batch_of(texts: list[str]) -> pa.RecordBatch:
    return pa.record_batch([pa.array(range(len(texts))), pa.array(texts, pa.string())], ["number", "safe_text"])


def clean(texts: list[str], stems: dict[str, str | None] = STEMS) -> list[dict[str, object]]:
    (cleaned,) = rows.clean_rows(SimpleNamespace(value=stems), "safe_text")([batch_of(texts)])
    assert cleaned.column("number").to_pylist() == list(range(len(texts)))
    return cleaned.drop_columns(["number", "safe_text"]).to_pylist()


def test_each_row_gets_what_the_rules_make_of_its_tokens_in_their_order() -> None:
    texts = ["The #Flu shots, #a;#b 💉 WORK!", "", "  the  ", "work💉💉shots", "#Flu"]
    names = ("hashtags", "emoji", "clean_text", "stemmed_text", "normalised")
    expected = [
        (["Flu", "a", "b"], ["💉"], "The shots WORK", "shot work", "TheFlushotsabWORK"),
        ([], [], "", "", ""),
        ([], [], "the", "", "the"),
        ([], ["💉", "💉"], "work shots", "work shot", "workshots"),
        (["Flu"], [], "", "", "Flu"),
    ]
    assert clean(texts) == [dict(zip(names, row, strict=True)) for row in expected]


def test_a_slice_of_a_batch_is_cleaned_by_itself() -> None:
    (cleaned,) = rows.clean_rows(SimpleNamespace(value=STEMS), "safe_text")([batch_of(["the flu", "work", "shots", "a"]).slice(1, 2)])
    assert cleaned.column("clean_text").to_pylist() == ["work", "shots"]


def test_a_batch_without_rows_is_cleaned() -> None:
    assert clean([]) == []


def test_a_word_without_a_known_stem_is_an_error() -> None:
    with pytest.raises(KeyError, match="polio"):
        clean(["polio"])


def words_of(*batches: list[str]) -> list[list[str]]:
    texts = (pa.record_batch([pa.array(batch, pa.string())], ["safe_text"]) for batch in batches)
    return [sorted(batch.column("word").to_pylist()) for batch in rows.distinct_words(texts)]


def test_the_distinct_words_are_those_whose_stems_rows_need() -> None:
    # links, numbers and texts without blanks are none
    assert words_of(["Flu flu, shots-work https://t.co/a1 12345 接種しました"], ["flu #tag"]) == [["flu", "shots", "work"]]


def test_words_are_handed_on_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "WORDS_HELD", 1)
    assert words_of(["flu shots"], ["work"]) == [["flu", "shots"], ["work"]]
