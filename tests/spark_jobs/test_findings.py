"""What explore_tweets counts, on a handful of invented tweets."""

import math

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.exploring import findings

COLUMNS = (
    "tweet_id string, safe_text string, text string, clean_text string, hashtags array<string>, "
    "emoji array<string>, label int, agreement double, "
    "text_group string, split string"
)


def tweets(spark: SparkSession, *rows: dict[str, object]) -> DataFrame:
    """Rows of tweets_clean in what the counting looks at; what a row does not name is empty."""
    names = [column.split()[0] for column in COLUMNS.split(", ")]
    usual = {"safe_text": "", "text": "", "clean_text": "", "hashtags": [], "emoji": [], "split": "train"}
    complete = [{"tweet_id": str(i), "text_group": str(i)} | usual | row for i, row in enumerate(rows)]
    return spark.createDataFrame([tuple(row.get(name) for name in names) for row in complete], COLUMNS)


def collected(rows: DataFrame) -> list[tuple[object, ...]]:
    return sorted((tuple(row) for row in rows.collect()), key=str)


def test_tweets_are_counted_by_label_side_agreement_and_length(spark: SparkSession) -> None:
    given = tweets(
        spark,
        # agreements are equal to three decimals
        {"label": -1, "agreement": 1 / 3, "safe_text": "abc"},
        {"label": -1, "agreement": 0.33333, "safe_text": "abc"},
        # a length is in characters, not in bytes
        {"label": 1, "agreement": 1.0, "safe_text": "é💉", "split": "eval"},
        # a label without an agreement
        {"label": 0, "safe_text": "abc"},
        # an agreement without a label
        {"agreement": 1.0, "safe_text": "abcd", "split": "unlabelled"},
    )
    assert collected(findings.tweet_counts(given)) == [
        (-1, "train", 0.333, 3, 2),
        (0, "train", None, 3, 1),
        (1, "eval", 1.0, 2, 1),
        (None, "unlabelled", 1.0, 4, 1),
    ]


def test_copies_of_a_text_conflict_when_their_labels_differ(spark: SparkSession) -> None:
    given = tweets(
        spark,
        # the same text, two labels
        {"text_group": "a", "label": 1, "safe_text": "@a x", "text": "<user> x"},
        {"text_group": "a", "label": -1, "safe_text": "@b X", "text": "<user> X"},
        # an unlabelled copy contradicts nobody
        {"text_group": "b", "label": 0},
        {"text_group": "b"},
        # no copy
        {"text_group": "c", "label": 1},
    )
    groups = findings.text_groups(given)
    assert collected(
        groups.select("text_group", "tweets", "labels", "negative", "neutral", "positive", "example")
    ) == [
        ("a", 2, 2, 1, 0, 1, "<user> X"),
        ("b", 2, 1, 0, 1, 0, ""),
    ]
    assert collected(findings.duplicate_counts(groups)) == [(2, 4, 1, 2)]
    assert collected(findings.duplicate_counts(groups.where("false"))) == [(0, 0, 0, 0)]
    assert [row.text_group for row in findings.largest_groups(groups, 1).collect()] == ["b"]


def test_removed_characters_are_counted_by_rule(spark: SparkSession) -> None:
    given = tweets(
        spark,
        {"safe_text": "RT @nurse: get #flu shots 💉"},
        {"safe_text": "a &amp; b"},
        {"safe_text": "plain"},
    )
    row = findings.removed_by_rules(given).first()
    assert row is not None
    of_rule = {
        rule.__name__: (row[f"tweets_{number}"], row[f"characters_{number}"])
        for number, rule in enumerate(findings.REMOVING_RULES, start=1)
    }
    assert row["characters"] == 27 + 9 + 5
    # The first text, a dot for each blank: `RT·@nurse:·get·#flu·shots·💉`
    assert {name: counts for name, counts in of_rule.items() if counts != (0, 0)} == {
        # `a·&·b`
        "decode_html_entities": (1, 4),
        # `RT··:·get·#flu·shots·💉`
        "strip_names": (1, 5),
        # `···:·get·#flu·shots·💉`
        "strip_retweet_markers": (1, 1),
        # `···:·get···shots·💉`
        "strip_hashtags": (1, 3),
        # `···:·get···shots··`
        "strip_emoji": (1, 0),
        # `····get···shots··`, `a··b`: the blank after the mark goes with it
        "strip_punctuation": (2, 1 + 1),
        # `get·shots`, `a·b`
        "collapse_white_space": (2, 8 + 1),
    }


@pytest.mark.parametrize(
    ("words", "pairs"), [("a b c", ["a b", "b c"]), ("a b", ["a b"]), ("a", []), ("", [])]
)
def test_a_bigram_is_a_word_with_the_next_one(spark: SparkSession, words: str, pairs: list[str]) -> None:
    [row] = (
        spark.createDataFrame([(words,)], "t string")
        .select(findings.bigrams(F.split("t", " ")).alias("pairs"))
        .collect()
    )
    assert row.pairs == pairs


def test_terms_are_counted_for_each_label_without_stop_words(spark: SparkSession) -> None:
    given = tweets(
        spark,
        {"label": 1, "clean_text": "Vaccines work the work", "hashtags": ["flu"], "emoji": ["💉", "💉"]},
        {"label": -1, "clean_text": "vaccines"},
        {"clean_text": "vaccines"},
        {"label": 0, "clean_text": ""},
    )
    counted = findings.term_counts(given, ["the"])
    # kind, term, negative, neutral, positive, all; `work the` and `the work` hold a stop word
    assert collected(counted) == [
        ("bigram", "vaccines work", 0, 0, 1, 1),
        ("emoji", "💉", 0, 0, 2, 2),
        ("hashtag", "flu", 0, 0, 1, 1),
        ("word", "vaccines", 1, 0, 1, 3),
        ("word", "work", 0, 0, 2, 2),
    ]
    # the most frequent word of each column; no neutral tweet has one
    assert collected(findings.most_frequent_words(counted, 1)) == [
        ("all", 1, "vaccines", 3),
        ("negative", 1, "vaccines", 1),
        ("positive", 1, "work", 2),
    ]


def test_distinctive_terms_are_scored_by_the_log_odds_ratio_with_a_dirichlet_prior(
    spark: SparkSession,
) -> None:
    # term -> occurrences in negative, neutral and positive tweets
    counts = {"autism": (40, 5, 5), "measles": (10, 80, 20), "work": (0, 2, 30), "rare": (4, 0, 0)}
    rows = [("hashtag", term, *of, sum(of)) for term, of in counts.items()]
    rows += [("word", "not of a kind that is scored", 50, 0, 0, 50)]
    terms = spark.createDataFrame(
        rows, "kind string, term string, negative long, neutral long, positive long, all long"
    )
    best = {(row.label, row.term): row for row in findings.distinctive_terms(terms, 3).collect()}

    def z(term: str, label: int) -> float:
        """By the paper, step by step: y counts here, rest elsewhere, alpha the prior."""
        total = sum(map(sum, counts.values()))
        n_here, n_rest = (
            sum(of[label] for of in counts.values()),
            total - sum(of[label] for of in counts.values()),
        )
        y_here, y_rest = counts[term][label], sum(counts[term]) - counts[term][label]
        alpha, alpha_0 = findings.PRIOR_OCCURRENCES * sum(counts[term]) / total, findings.PRIOR_OCCURRENCES
        odds_here = (y_here + alpha) / (n_here + alpha_0 - y_here - alpha)
        odds_rest = (y_rest + alpha) / (n_rest + alpha_0 - y_rest - alpha)
        return (math.log(odds_here) - math.log(odds_rest)) / math.sqrt(
            1 / (y_here + alpha) + 1 / (y_rest + alpha)
        )

    assert best.keys() == {("negative", "autism"), ("neutral", "measles"), ("positive", "work")}
    for (label, term), row in best.items():
        assert row.z == pytest.approx(z(term, {"negative": 0, "neutral": 1, "positive": 2}[label]))
        assert (row.kind, row["rank"], (row.negative, row.neutral, row.positive)) == (
            "hashtag",
            1,
            counts[term],
        )


def test_differences_count_added_removed_relabelled_and_changed_tweets(spark: SparkSession) -> None:
    def version(*rows: tuple[str, int | None, str]) -> DataFrame:
        return spark.createDataFrame(rows, "tweet_id string, label int, clean_text string")

    before = version(
        ("same", None, "a"),
        ("removed", 1, "a"),
        ("relabelled", None, "a"),
        ("text_changed", 1, "a"),
        ("both", 1, "a"),
    )
    now = version(
        ("same", None, "a"),
        ("added", 1, "a"),
        ("relabelled", 0, "a"),
        ("text_changed", 1, "b"),
        ("both", 0, "b"),
    )
    row = findings.differences(before, now).first()
    assert row is not None
    assert row.asDict() == {
        "added": 1,
        "removed": 1,
        "relabelled": 2,
        "text_changed": 2,
        "unchanged": 1,
        "before_negative": 0,
        "before_neutral": 0,
        "before_positive": 3,
        "before_unlabelled": 2,
    }
