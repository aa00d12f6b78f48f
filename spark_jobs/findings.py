"""What `explore_tweets` counts: every function takes rows of `tweets_clean` and gives a small table.

All counting is Spark's; what comes back to the driver has as many rows as a figure has bars, whatever the number of tweets. `label` is
null for an unlabelled tweet throughout.
"""

from collections.abc import Callable

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_jobs.clean_tweets import AFTER_EMOJI, BEFORE_HASHTAGS
from spark_jobs.text_rules import strip_hashtags

LABELS = {-1: "negative", 0: "neutral", 1: "positive"}
# The rules in the order in which clean_tweets removes with them.
REMOVING_RULES: tuple[Callable[[Column], Column], ...] = (*BEFORE_HASHTAGS, strip_hashtags, *AFTER_EMOJI)
# The prior of the log-odds is as strong as this many occurrences; a term that is seen less often than LEAST_COUNT is not judged.
PRIOR_OCCURRENCES = 500
LEAST_COUNT = 5
LEAST_Z = 1.0  # below one standard error a term tells nothing
KINDS = ("hashtag", "emoji", "bigram")


def label_counts(tweets: DataFrame) -> DataFrame:
    """`label`, `split`, `tweets`."""
    return tweets.groupBy("label", "split").agg(F.count("*").alias("tweets"))


def length_counts(tweets: DataFrame) -> DataFrame:
    """`label`, `characters` (of safe_text), `tweets`."""
    return tweets.groupBy("label", F.length("safe_text").alias("characters")).agg(F.count("*").alias("tweets"))


def agreement_counts(tweets: DataFrame) -> DataFrame:
    """`agreement` to three decimals, `label`, `tweets`; labelled tweets whose agreement is known."""
    known = tweets.where("label is not null and agreement is not null")
    return known.groupBy(F.round("agreement", 3).alias("agreement"), "label").agg(F.count("*").alias("tweets"))


def text_groups(tweets: DataFrame) -> DataFrame:
    """One row for each text that occurs more than once: `tweets`, `labels` (how many different ones), a count for each label, `example`."""
    of_label = [F.count_if(F.col("label") == label).alias(name) for label, name in LABELS.items()]
    groups = tweets.groupBy("text_group").agg(
        F.count("*").alias("tweets"), F.countDistinct("label").alias("labels"), *of_label, F.min("safe_text").alias("example")
    )
    return groups.where("tweets > 1")


def copies(groups: DataFrame) -> DataFrame:
    """One row over the text_groups: `texts`, `tweets`, and `conflicting_texts`, `conflicting_tweets` of those with more than one label."""
    conflicting = F.col("labels") > 1
    return groups.agg(
        F.count("*").alias("texts"),
        F.coalesce(F.sum("tweets"), F.lit(0)).alias("tweets"),
        F.count_if(conflicting).alias("conflicting_texts"),
        F.coalesce(F.sum(F.when(conflicting, F.col("tweets"))), F.lit(0)).alias("conflicting_tweets"),
    )


def removed_by_rules(tweets: DataFrame) -> DataFrame:
    """One row: for the n-th of REMOVING_RULES `tweets_n` that it changes and `characters_n` that it takes from them, and `characters`."""
    stages = tweets.select(F.col("safe_text").alias("text_0"))
    for number, rule in enumerate(REMOVING_RULES, start=1):
        stages = stages.withColumn(f"text_{number}", rule(F.col(f"text_{number - 1}")))
    figures = [F.sum(F.length("text_0")).alias("characters")]
    for number in range(1, len(REMOVING_RULES) + 1):
        before, after = F.col(f"text_{number - 1}"), F.col(f"text_{number}")
        figures.append(F.count_if(before != after).alias(f"tweets_{number}"))
        figures.append(F.sum(F.length(before) - F.length(after)).alias(f"characters_{number}"))
    return stages.agg(*figures)


def bigrams(words: Column) -> Column:
    """Each word with the next one: [a, b, c] -> [a b, b c]."""
    pairs = F.arrays_zip(words.alias("first"), F.slice(words, 2, F.size(words)).alias("second"))
    joined = F.transform(pairs, lambda pair: F.concat_ws(" ", pair["first"], pair["second"]))
    return F.when(F.size(words) > 1, F.slice(joined, 1, F.size(words) - 1)).otherwise(F.array().cast("array<string>"))


def term_counts(tweets: DataFrame, stop_words: list[str]) -> DataFrame:
    """`kind` (word, hashtag, emoji, bigram), `term`, occurrences in each label's tweets and `all` of them.

    Words are as people wrote them, in lower case; a stop word is none, and a bigram is two neighbours of which neither is one.
    """
    words = F.split(F.lower("clean_text"), " ")
    kinds = {"word": words, "hashtag": F.col("hashtags"), "emoji": F.col("emoji"), "bigram": bigrams(words)}
    exploded = [tweets.select("label", F.lit(kind).alias("kind"), F.explode(terms).alias("term")) for kind, terms in kinds.items()]
    terms = exploded[0]
    for more in exploded[1:]:
        terms = terms.unionByName(more)
    of_label = [F.count_if(F.col("label") == label).alias(name) for label, name in LABELS.items()]
    counted = terms.where("term != ''").groupBy("kind", "term").agg(*of_label, F.count("*").alias("all"))
    # After counting there are far fewer rows to look at.
    is_stop = F.col("kind").isin("word", "bigram") & F.exists(F.split("term", " "), lambda word: word.isin(stop_words))
    return counted.where(~is_stop)


def most_frequent(terms: DataFrame, kind: str, column: str, most: int) -> DataFrame:
    """`term` and `occurrences` of the terms that are most frequent by `column` of term_counts."""
    frequent = terms.where((F.col("kind") == kind) & (F.col(column) > 0)).select("term", F.col(column).alias("occurrences"))
    return frequent.orderBy(F.desc("occurrences"), "term").limit(most)


def telling_terms(terms: DataFrame, most: int) -> DataFrame:
    """The terms that tell a label from the two others best: `kind`, `label` (its name), `rank` from 1 to `most`, `term`, `z`, counts of each label.

    `z` is the log-odds ratio of the term between the label and the others, with an informative Dirichlet prior, over its standard error:
    Monroe, Colaresi and Quinn 2008, "Fightin' Words", equations 16, 20 and 22. Unlike a ratio of shares it does not favour rare terms, and
    unlike a difference not frequent ones.
    """
    names = list(LABELS.values())
    of_kind = Window.partitionBy("kind")
    counted = terms.where(F.col("kind").isin(*KINDS)).withColumn("labelled", sum((F.col(name) for name in names[1:]), F.col(names[0])))
    counted = counted.withColumn("total", F.sum("labelled").over(of_kind))
    prior = F.lit(PRIOR_OCCURRENCES) * F.col("labelled") / F.col("total")
    scored = []
    for name in names:
        here, there = F.col(name) + prior, F.col("labelled") - F.col(name) + prior
        of_label = F.sum(name).over(of_kind) + PRIOR_OCCURRENCES
        of_others = F.col("total") - F.sum(name).over(of_kind) + PRIOR_OCCURRENCES
        log_odds_ratio = F.log(here / (of_label - here)) - F.log(there / (of_others - there))
        scored.append(F.struct(F.lit(name).alias("label"), (log_odds_ratio / F.sqrt(1 / here + 1 / there)).alias("z")))
    each = counted.withColumn("score", F.array(*scored)).where(F.col("labelled") >= LEAST_COUNT)
    each = (
        each.select("kind", "term", *names, F.explode("score").alias("score"))
        .select("*", "score.label", "score.z")
        .where(F.col("z") >= LEAST_Z)
    )
    best_first = Window.partitionBy("kind", "label").orderBy(F.desc("z"), "term")
    ranked = each.withColumn("rank", F.row_number().over(best_first)).where(F.col("rank") <= most)
    return ranked.select("kind", "label", "rank", "term", "z", *names).orderBy("kind", "label", "rank")


def differences(before: DataFrame, now: DataFrame) -> DataFrame:
    """One row: tweets `added`, `removed`, `relabelled`, `retexted` (another clean_text) and `unchanged` between two versions."""

    def version(tweets: DataFrame, name: str) -> DataFrame:
        return tweets.select("tweet_id", F.struct("label", F.xxhash64("clean_text").alias("text")).alias(name))

    both = version(before, "before").join(version(now, "now"), "tweet_id", how="full_outer")
    was, is_there = F.col("before").isNotNull(), F.col("now").isNotNull()
    relabelled = was & is_there & ~F.col("before.label").eqNullSafe(F.col("now.label"))
    retexted = was & is_there & (F.col("before.text") != F.col("now.text"))
    return both.agg(
        F.count_if(~was).alias("added"),
        F.count_if(~is_there).alias("removed"),
        F.count_if(relabelled).alias("relabelled"),
        F.count_if(retexted).alias("retexted"),
        F.count_if(was & is_there & ~relabelled & ~retexted).alias("unchanged"),
    )
