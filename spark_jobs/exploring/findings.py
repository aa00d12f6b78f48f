"""Aggregations of the exploration report.

Every function takes rows of `tweets_clean` and returns a small table.
The size of a result does not depend on the number of tweets. `label` is null for an unlabelled tweet.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from contracts.labels import CLASS_NAMES, LABEL_NAMES
from spark_jobs.cleaning.token_rules import REMOVING_RULES

# Weight of the prior of the log-odds ratio, in occurrences.
PRIOR_OCCURRENCES = 500
# Minimum number of occurrences in labelled tweets for a score.
MIN_OCCURRENCES = 5
# Below one standard error a term does not distinguish labels.
MIN_Z = 1.0
KINDS = ("hashtag", "emoji", "bigram")


def tweet_counts(tweets: DataFrame) -> DataFrame:
    """Return `label`, `split`, `agreement` (three decimals), `characters` (of safe_text), `tweets`."""
    agreement, characters = (
        F.round("agreement", 3).alias("agreement"),
        F.length("safe_text").alias("characters"),
    )
    return tweets.groupBy("label", "split", agreement, characters).agg(F.count("*").alias("tweets"))


def text_groups(tweets: DataFrame) -> DataFrame:
    """Return one row for each text that occurs more than once.

    The columns are `text_group`, `tweets`, `labels` (number of distinct labels), the tweets of each label,
    and `example` (one of the texts, without user names).
    """
    of_label = [F.count_if(F.col("label") == label).alias(name) for label, name in LABEL_NAMES.items()]
    groups = tweets.groupBy("text_group").agg(
        F.count("*").alias("tweets"),
        F.countDistinct("label").alias("labels"),
        *of_label,
        F.min("text").alias("example"),
    )
    return groups.where("tweets > 1")


def duplicate_counts(groups: DataFrame) -> DataFrame:
    """Return one row: `texts`, `tweets`, and those with several labels: `conflicting_texts`, `..._tweets`."""
    is_conflicting = F.col("labels") > 1
    return groups.agg(
        F.count("*").alias("texts"),
        F.coalesce(F.sum("tweets"), F.lit(0)).alias("tweets"),
        F.count_if(is_conflicting).alias("conflicting_texts"),
        F.coalesce(F.sum(F.when(is_conflicting, F.col("tweets"))), F.lit(0)).alias("conflicting_tweets"),
    )


def largest_groups(groups: DataFrame, limit: int) -> DataFrame:
    """Return the rows of text_groups with the most tweets, largest first."""
    return groups.orderBy(F.desc("tweets"), "example").limit(limit)


def removed_by_rules(tweets: DataFrame) -> DataFrame:
    """Return one row: `characters`, and for rule n `tweets_n` (changed) and `characters_n` (removed)."""
    numbers = range(1, len(REMOVING_RULES) + 1)
    names = ["characters", *(f"{unit}_{number}" for number in numbers for unit in ("tweets", "characters"))]
    counted = tweets.select("safe_text").mapInArrow(
        count_removed, ", ".join(f"{name} long" for name in names)
    )
    return counted.agg(*(F.sum(name).alias(name) for name in names))


def count_removed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the columns of removed_by_rules for each batch of texts, for mapInArrow."""
    for batch in batches:
        texts = batch.column(0).to_pylist()
        counts = {"characters": sum(map(len, texts))}
        for number, rule in enumerate(REMOVING_RULES, start=1):
            before, texts = texts, list(map(rule, texts))
            changed = [(old, new) for old, new in zip(before, texts, strict=True) if old != new]
            counts[f"tweets_{number}"] = len(changed)
            counts[f"characters_{number}"] = sum(len(old) - len(new) for old, new in changed)
        yield pa.RecordBatch.from_pylist([counts])


def bigrams(words: Column) -> Column:
    """Return pairs of consecutive words: [a, b, c] -> [a b, b c]."""
    pairs = F.arrays_zip(words.alias("first"), F.slice(words, 2, F.size(words)).alias("second"))
    joined = F.transform(pairs, lambda pair: F.concat_ws(" ", pair["first"], pair["second"]))
    return F.when(F.size(words) > 1, F.slice(joined, 1, F.size(words) - 1)).otherwise(
        F.array().cast("array<string>")
    )


def term_counts(tweets: DataFrame, stop_words: list[str]) -> DataFrame:
    """Return `kind` (word, hashtag, emoji, bigram), `term`, and its occurrences by label and in `all` tweets.

    Words are in lower case and not stemmed. Stop words and bigrams with a stop word are excluded.
    """
    words = F.split(F.lower("clean_text"), " ")
    terms_of_kind = {
        "word": words,
        "hashtag": F.col("hashtags"),
        "emoji": F.col("emoji"),
        "bigram": bigrams(words),
    }
    # One array of all kinds, so that the tweets are read once.
    of_kind = F.array(
        *(F.struct(F.lit(kind).alias("kind"), terms.alias("terms")) for kind, terms in terms_of_kind.items())
    )
    terms = (
        tweets.select("label", F.explode(of_kind).alias("of_kind"))
        .select("label", "of_kind.kind", F.explode("of_kind.terms").alias("term"))
        .where("term != ''")
    )
    of_label = [F.count_if(F.col("label") == label).alias(name) for label, name in LABEL_NAMES.items()]
    counted = terms.groupBy("kind", "term").agg(*of_label, F.count("*").alias("all"))
    # The filter follows the aggregation because it has far fewer rows.
    has_stop_word = F.col("kind").isin("word", "bigram") & F.exists(
        F.split("term", " "), lambda word: word.isin(stop_words)
    )
    return counted.where(~has_stop_word)


def most_frequent_words(terms: DataFrame, limit: int) -> DataFrame:
    """Return the most frequent words of all tweets and of each label.

    The columns are `column` (a column of term_counts), `rank` from 1 to `limit`, `term` and `occurrences`.
    """
    counts = [
        F.struct(F.lit(name).alias("column"), F.col(name).alias("occurrences"))
        for name in ("all", *CLASS_NAMES)
    ]
    each = (
        terms.where("kind = 'word'")
        .select("term", F.explode(F.array(*counts)).alias("count"))
        .select("term", "count.*")
    )
    most_first = Window.partitionBy("column").orderBy(F.desc("occurrences"), "term")
    ranked = (
        each.where("occurrences > 0")
        .withColumn("rank", F.row_number().over(most_first))
        .where(F.col("rank") <= limit)
    )
    return ranked.select("column", "rank", "term", "occurrences")


def distinctive_terms(terms: DataFrame, limit: int) -> DataFrame:
    """Return the terms that best distinguish a label from the two others.

    The columns are `kind`, `label` (its name), `rank` from 1 to `limit`, `term`, `z`, and the occurrences by
    label. `z` is the log-odds ratio of the term between the label and the others, with an informative
    Dirichlet prior, divided by its standard error: Monroe, Colaresi and Quinn 2008, "Fightin' Words",
    equations 16, 20 and 22. A ratio of shares would favour rare terms, a difference of shares frequent ones.
    """
    names = CLASS_NAMES
    of_kind = Window.partitionBy("kind")
    counted = terms.where(F.col("kind").isin(*KINDS)).withColumn(
        "labelled", sum((F.col(name) for name in names[1:]), F.col(names[0]))
    )
    counted = counted.withColumn("total", F.sum("labelled").over(of_kind))
    prior = F.lit(PRIOR_OCCURRENCES) * F.col("labelled") / F.col("total")
    scores = []
    for name in names:
        in_label, in_others = F.col(name) + prior, F.col("labelled") - F.col(name) + prior
        all_in_label = F.sum(name).over(of_kind) + PRIOR_OCCURRENCES
        all_in_others = F.col("total") - F.sum(name).over(of_kind) + PRIOR_OCCURRENCES
        log_odds_ratio = F.log(in_label / (all_in_label - in_label)) - F.log(
            in_others / (all_in_others - in_others)
        )
        scores.append(
            F.struct(
                F.lit(name).alias("label"), (log_odds_ratio / F.sqrt(1 / in_label + 1 / in_others)).alias("z")
            )
        )
    scored = counted.withColumn("score", F.array(*scores)).where(F.col("labelled") >= MIN_OCCURRENCES)
    scored = scored.select("kind", "term", *names, F.explode("score").alias("score")).select(
        "*", "score.label", "score.z"
    )
    best_first = Window.partitionBy("kind", "label").orderBy(F.desc("z"), "term")
    ranked = (
        scored.where(F.col("z") >= MIN_Z)
        .withColumn("rank", F.row_number().over(best_first))
        .where(F.col("rank") <= limit)
    )
    return ranked.select("kind", "label", "rank", "term", "z", *names)


def differences(before: DataFrame, now: DataFrame) -> DataFrame:
    """Return one row: tweets `added`, `removed`, `relabelled`, `text_changed` and `unchanged`.

    It also has the tweets of each label in the older version: `before_negative`, `before_neutral`,
    `before_positive`, `before_unlabelled`.
    """

    def version(tweets: DataFrame, name: str) -> DataFrame:
        return tweets.select(
            "tweet_id", F.struct("label", F.xxhash64("clean_text").alias("text")).alias(name)
        )

    both = version(before, "before").join(version(now, "now"), "tweet_id", how="full_outer")
    was_there, is_there = F.col("before").isNotNull(), F.col("now").isNotNull()
    is_relabelled = was_there & is_there & ~F.col("before.label").eqNullSafe(F.col("now.label"))
    is_text_changed = was_there & is_there & (F.col("before.text") != F.col("now.text"))
    return both.agg(
        F.count_if(~was_there).alias("added"),
        F.count_if(~is_there).alias("removed"),
        F.count_if(is_relabelled).alias("relabelled"),
        F.count_if(is_text_changed).alias("text_changed"),
        F.count_if(was_there & is_there & ~is_relabelled & ~is_text_changed).alias("unchanged"),
        *(
            F.count_if(F.col("before.label") == label).alias(f"before_{name}")
            for label, name in LABEL_NAMES.items()
        ),
        F.count_if(was_there & F.col("before.label").isNull()).alias("before_unlabelled"),
    )
