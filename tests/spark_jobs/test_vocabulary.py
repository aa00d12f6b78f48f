"""Words and stems. Every text is invented."""

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs import vocabulary
from spark_jobs.schemas import VOCABULARY


def test_word_classes_fold_whole_words_only(spark: SparkSession) -> None:
    texts = {
        "vaccine vaccines vaccinate vaccinated vaccination vaccinations": "vaccine vaccine vaccine vaccine vaccine vaccine",
        "kid kids child children": "child child child child",
        "kidney unvaccinated vaccinating childhood vaccines2": "kidney unvaccinated vaccinating childhood vaccines2",
        "": "",
    }
    folded = spark.createDataFrame([(text,) for text in texts], "text string").select(
        "text", vocabulary.fold_word_classes(F.col("text")).alias("f")
    )
    assert {row.text: row.f for row in folded.collect()} == texts


def test_the_vocabulary_grows_by_unseen_words_only(spark: SparkSession, tmp_path: Path) -> None:
    uri = str(tmp_path / "vocabulary")

    def grow(*words: str) -> dict[str, str | None]:
        return vocabulary.grow_vocabulary(spark, spark.createDataFrame([(word,) for word in words], "word string"), uri)

    first = grow("vaccinated", "children", "the", "dont", "u", "running", "h1n1", "疫苗", "टीका")
    assert first == {
        "": None,
        # classes before stems
        "vaccinated": "vaccin",
        "children": "child",
        # stop words, with and without their apostrophe, and leftovers have no stem
        "the": None,
        "dont": None,
        "u": None,
        # stems of Porter; digits, other scripts and their marks stay
        "running": "run",
        "h1n1": "h1n1",
        "疫苗": "疫苗",
        "टीका": "टीका",
    }
    table = DeltaTable.forPath(spark, uri)
    version = table.history(1).first()["version"]
    # only words it holds: no commit, and only the stems asked for
    assert grow("running", "the") == {"": None, "running": "run", "the": None}
    assert table.history(1).first()["version"] == version
    # a word more: one row more
    assert grow("running", "measles") == {"": None, "running": "run", "measles": "measl"}
    newest = table.history(1).first()
    assert newest["version"] == version + 1
    assert newest["operationMetrics"]["numOutputRows"] == "1"
    assert spark.read.format("delta").load(uri).schema == VOCABULARY


def test_other_rules_for_stems_make_the_vocabulary_anew(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = str(tmp_path / "vocabulary")
    vocabulary.grow_vocabulary(spark, spark.createDataFrame([("flu",), ("shots",)], "word string"), uri)
    monkeypatch.setattr(vocabulary, "STEMS_VERSION", vocabulary.STEMS_VERSION + 1)
    vocabulary.grow_vocabulary(spark, spark.createDataFrame([("shots",)], "word string"), uri)
    assert [tuple(row) for row in spark.read.format("delta").load(uri).collect()] == [("shots", "shot")]


def mapped(texts: list[str], stems: dict[str, str | None]) -> list[str]:
    batch = pa.record_batch([pa.array(range(len(texts))), pa.array(texts, pa.string())], ["number", "text"])
    (result,) = vocabulary.map_words(SimpleNamespace(value=stems), "text")([batch])
    assert result.column(0).equals(batch.column(0))
    return result.column(1).to_pylist()


def test_words_are_mapped_in_place() -> None:
    stems = {"": None, "the": None, "shots": "shot", "work": "work", "a": None, "two": "t wo"}
    texts = ["the shots work", "", "the a the", "shots shots", "work the", "two a"]
    assert mapped(texts, stems) == ["shot work", "", "", "shot shot", "work", "t wo"]


def test_a_batch_without_rows_is_mapped() -> None:
    assert mapped([], {"": None}) == []


def test_a_word_that_the_vocabulary_does_not_hold_is_an_error() -> None:
    with pytest.raises(KeyError, match="polio"):
        mapped(["polio"], {"": None})


def test_tokens_are_what_stands_between_blanks_each_once(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a b,  b", "b c\nd", "", "a"]
    tweets = spark.createDataFrame([(text,) for text in texts], "safe_text string")
    assert sorted(row.token for row in vocabulary.distinct_tokens(tweets, "safe_text").collect()) == ["", "a", "b", "b,", "c\nd"]
    # also where a partition hands them on early
    monkeypatch.setattr(vocabulary, "TOKENS_HELD", 1)
    assert sorted(row.token for row in vocabulary.distinct_tokens(tweets, "safe_text").collect()) == ["", "a", "b", "b,", "c\nd"]
