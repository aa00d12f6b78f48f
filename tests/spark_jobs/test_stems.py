"""Words and stems. Every text is invented."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs.cleaning import stems


def stem_of(spark: SparkSession, *words: str) -> dict[str, str | None]:
    rows = spark.createDataFrame([(words,)], "words array<string>").select(
        F.transform("words", stems.stem).alias("stems")
    )
    return dict(zip(words, rows.collect()[0].stems, strict=True))


def test_each_distinct_word_has_a_stem_in_lower_case_and_stop_words_have_none(spark: SparkSession) -> None:
    expected = {
        # classes before stems, with what is left of a possessive
        "vaccinated": "vaccin",
        "children": "child",
        "childrens": "child",
        "kids": "child",
        # whole words only
        "childhood": "childhood",
        "unvaccinated": "unvaccin",
        # stop words, with and without their apostrophe, and leftovers
        "the": None,
        "dont": None,
        "u": None,
        # stems of Porter; digits, other scripts and their marks stay
        "running": "run",
        "h1n1": "h1n1",
        "疫苗": "疫苗",
        "टीका": "टीका",
        # the JVM's lower case: a sigma at the end
        "ΕΜΒΟΛΙΑΣΜΟΣ": "εμβολιασμος",
    }
    assert stem_of(spark, *expected) == expected


def test_every_member_of_a_word_class_has_one_stem(spark: SparkSession) -> None:
    for name, members in stems.WORD_CLASSES.items():
        folded = spark.createDataFrame([(word,) for word in members], "w string").select(
            stems.fold_word_class(F.col("w")).alias("f")
        )
        assert {row.f for row in folded.collect()} == {name}


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("Vaccines", "vaccines"),
        ("h1n1", "h1n1"),
        # words that the JVM lower-cases
        ("ΕΜΒΟΛΙΟ", "ΕΜΒΟΛΙΟ"),
        ("Café", "Café"),
        # words that are their own stems
        ("2026", None),
        ("疫苗", None),
        ("εμβολιο", None),
    ],
)
def test_a_word_that_is_its_own_stem_is_not_looked_up(
    spark: SparkSession, word: str, key: str | None
) -> None:
    assert stems.stem_key(word) == key
    if key is None:
        assert stem_of(spark, word) == {word: word}


def test_words_on_which_the_stemmer_would_recurse_too_deeply_are_their_own_stem() -> None:
    assert stems.stem_key("y" * stems.MAX_STEMMED_LENGTH) == "y" * stems.MAX_STEMMED_LENGTH
    assert stems.stem_key("y" * (stems.MAX_STEMMED_LENGTH + 1)) is None
    assert stems.stem_key("é" * 40_000) is None
