"""What `explore_tweets` counts: every function takes rows of `tweets_clean` and returns a small table.

Spark does the counting. The driver receives as many rows as the figures need, whatever the number of tweets. `label` is null for an
unlabelled tweet throughout.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_jobs.cleaning.token_rules import REMOVING_RULES
from spark_jobs.schemas import LABEL_NAMES

LABELS = LABEL_NAMES
# The prior of the log-odds ratio has the weight of so many occurrences.
PRIOR_OCCURRENCES = 500
# Terms that occur less often in labelled tweets get no score.
MIN_OCCURRENCES = 5
# Below one standard error a term does not distinguish labels.
MIN_Z = 1.0
KINDS = ("hashtag", "emoji", "bigram")


def tweet_counts(tweets: DataFrame) -> DataFrame:
    """`label`, `split`, `agreement` (three decimals), `characters` (of safe_text), `tweets`."""
    agreement, characters = (
        F.round("agreement", 3).alias("agreement"),
        F.length("safe_text").alias("characters"),
    )
    return tweets.groupBy("label", "split", agreement, characters).agg(F.count("*").alias("tweets"))


def text_groups(tweets: DataFrame) -> DataFrame:
    """One row for each text that occurs more than once.

    `text_group`, `tweets`, `labels` (how many different ones), the tweets of each label, `example` (one of the texts).
    """
    of_label = [F.count_if(F.col("label") == label).alias(name) for label, name in LABELS.items()]
    groups = tweets.groupBy("text_group").agg(
        F.count("*").alias("tweets"),
        F.countDistinct("label").alias("labels"),
        *of_label,
        F.min("safe_text").alias("example"),
    )
    return groups.where("tweets > 1")


def duplicate_counts(groups: DataFrame) -> DataFrame:
    """One row over text_groups: `texts` and `tweets` of all, `conflicting_texts` and `conflicting_tweets` of those with several labels."""
    is_conflicting = F.col("labels") > 1
    return groups.agg(
        F.count("*").alias("texts"),
        F.coalesce(F.sum("tweets"), F.lit(0)).alias("tweets"),
        F.count_if(is_conflicting).alias("conflicting_texts"),
        F.coalesce(F.sum(F.when(is_conflicting, F.col("tweets"))), F.lit(0)).alias("conflicting_tweets"),
    )


def largest_groups(groups: DataFrame, most: int) -> DataFrame:
    """The text_groups with the most tweets, largest first."""
    return groups.orderBy(F.desc("tweets"), "example").limit(most)


def removed_by_rules(tweets: DataFrame) -> DataFrame:
    """One row: `characters` before cleaning, and for the n-th of REMOVING_RULES `tweets_n` that it changes and `characters_n` that it removes."""
    numbers = range(1, len(REMOVING_RULES) + 1)
    names = ["characters", *(f"{unit}_{number}" for number in numbers for unit in ("tweets", "characters"))]
    counted = tweets.select("safe_text").mapInArrow(
        count_removed, ", ".join(f"{name} long" for name in names)
    )
    return counted.agg(*(F.sum(name).alias(name) for name in names))


def count_removed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For mapInArrow over a column of texts: the columns of removed_by_rules, one row for each batch."""
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
    """Each word with the next one: [a, b, c] -> [a b, b c]."""
    pairs = F.arrays_zip(words.alias("first"), F.slice(words, 2, F.size(words)).alias("second"))
    joined = F.transform(pairs, lambda pair: F.concat_ws(" ", pair["first"], pair["second"]))
    return F.when(F.size(words) > 1, F.slice(joined, 1, F.size(words) - 1)).otherwise(
        F.array().cast("array<string>")
    )


def term_counts(tweets: DataFrame, stop_words: list[str]) -> DataFrame:
    """`kind` (word, hashtag, emoji, bigram), `term`, its occurrences in the tweets of each label and in `all` tweets.

    Words are in lower case and not stemmed. Stop words are left out, and bigrams that contain one.
    """
    words = F.split(F.lower("clean_text"), " ")
    terms_of_kind = {
        "word": words,
        "hashtag": F.col("hashtags"),
        "emoji": F.col("emoji"),
        "bigram": bigrams(words),
    }
    # One array of all kinds: the tweets are read once.
    of_kind = F.array(
        *(F.struct(F.lit(kind).alias("kind"), terms.alias("terms")) for kind, terms in terms_of_kind.items())
    )
    terms = (
        tweets.select("label", F.explode(of_kind).alias("of_kind"))
        .select("label", "of_kind.kind", F.explode("of_kind.terms").alias("term"))
        .where("term != ''")
    )
    of_label = [F.count_if(F.col("label") == label).alias(name) for label, name in LABELS.items()]
    counted = terms.groupBy("kind", "term").agg(*of_label, F.count("*").alias("all"))
    # After counting there are far fewer rows to look at.
    has_stop_word = F.col("kind").isin("word", "bigram") & F.exists(
        F.split("term", " "), lambda word: word.isin(stop_words)
    )
    return counted.where(~has_stop_word)


def most_frequent_words(terms: DataFrame, most: int) -> DataFrame:
    """The most frequent words of all tweets and of each label's: `column` (of term_counts), `rank` from 1 to `most`, `term`, `occurrences`."""
    counts = [
        F.struct(F.lit(name).alias("column"), F.col(name).alias("occurrences"))
        for name in ("all", *LABELS.values())
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
        .where(F.col("rank") <= most)
    )
    return ranked.select("column", "rank", "term", "occurrences")


def distinctive_terms(terms: DataFrame, most: int) -> DataFrame:
    """The terms that best distinguish a label from the two others.

    `kind`, `label` (its name), `rank` from 1 to `most`, `term`, `z`, occurrences in the tweets of each label.

    `z` is the log-odds ratio of the term between the label and the others, with an informative Dirichlet prior, divided by its standard error:
    Monroe, Colaresi and Quinn 2008, "Fightin' Words", equations 16, 20 and 22. A ratio of shares would favour rare terms, a difference of
    shares frequent ones.
    """
    names = list(LABELS.values())
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
        .where(F.col("rank") <= most)
    )
    return ranked.select("kind", "label", "rank", "term", "z", *names)


def differences(before: DataFrame, now: DataFrame) -> DataFrame:
    """One row: tweets `added`, `removed`, `relabelled`, `retexted` (another clean_text) and `unchanged` between two versions.

    Then the tweets of each label in the version before: `before_negative`, `before_neutral`, `before_positive`, `before_unlabelled`.
    """

    def version(tweets: DataFrame, name: str) -> DataFrame:
        return tweets.select(
            "tweet_id", F.struct("label", F.xxhash64("clean_text").alias("text")).alias(name)
        )

    both = version(before, "before").join(version(now, "now"), "tweet_id", how="full_outer")
    was_there, is_there = F.col("before").isNotNull(), F.col("now").isNotNull()
    is_relabelled = was_there & is_there & ~F.col("before.label").eqNullSafe(F.col("now.label"))
    is_retexted = was_there & is_there & (F.col("before.text") != F.col("now.text"))
    return both.agg(
        F.count_if(~was_there).alias("added"),
        F.count_if(~is_there).alias("removed"),
        F.count_if(is_relabelled).alias("relabelled"),
        F.count_if(is_retexted).alias("retexted"),
        F.count_if(was_there & is_there & ~is_relabelled & ~is_retexted).alias("unchanged"),
        *(
            F.count_if(F.col("before.label") == label).alias(f"before_{name}")
            for label, name in LABELS.items()
        ),
        F.count_if(was_there & F.col("before.label").isNull()).alias("before_unlabelled"),
    )
