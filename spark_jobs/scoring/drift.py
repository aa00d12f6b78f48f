"""How far a dump has moved from what the champion has learnt from: what it predicts, how long texts are, which words they use, how sure it is.

Distances of distributions are population stability indices (PSI). Their usual reading: below 0.1 stable, above 0.25 another population.
Significance tests are of no use here: with a million tweets every difference is significant.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from scipy.special import rel_entr

from spark_jobs.schemas import LABEL_NAMES

# Of fewer tweets the shares say little; the quality gate of loading has the same floor.
FEWEST_TWEETS = 200
LENGTH_EDGES = (40, 60, 80, 100, 120, 140, 200, 280)  # characters; between them and outside lie the groups
FREQUENT_WORDS = 50
# What is added to each count, so that a group that is empty on one side has a finite distance.
PSEUDO_COUNT = 0.5
# A measure above its limit is a breach. The last two are differences to the held-out tweets of the champion's training.
LIMITS = {
    "label_psi": 0.25,
    "length_psi": 0.25,
    "word_psi": 0.25,
    "more_unseen_words": 0.25,
    "less_confidence": 0.15,
}


@dataclass(frozen=True)
class Profile:
    """Counts over a set of tweets: of each label, of each group of lengths, of each frequent word of the training side and of all others.

    `unseen` words do not occur on the training side. `confidence` is the mean of the highest probability.
    """

    tweets: int
    labels: Sequence[int]
    lengths: Sequence[int]
    words: Sequence[int]
    unseen: int
    confidence: float

    @property
    def unseen_share(self) -> float:
        """Of all words."""
        return self.unseen / max(1, sum(self.words))


@dataclass(frozen=True)
class Drift:
    """The measures of LIMITS; larger is further away."""

    label_psi: float
    length_psi: float
    word_psi: float
    more_unseen_words: float
    less_confidence: float

    def breaches(self) -> list[str]:
        """The measures above their limits."""
        return [field.name for field in fields(self) if getattr(self, field.name) > LIMITS[field.name]]


def stability_index(counts: Sequence[int], reference: Sequence[int]) -> float:
    """The PSI of two distributions over the same groups.

    >>> stability_index([100, 200], [1000, 2000]) < 0.001, stability_index([200, 100], [1000, 2000]) > 0.1
    (True, True)
    """
    now, before = (np.asarray(each) + PSEUDO_COUNT for each in (counts, reference))
    now, before = now / now.sum(), before / before.sum()
    return float((rel_entr(now, before) + rel_entr(before, now)).sum())


def measure(dump: Profile, trained_on: Profile, held_out: Profile) -> Drift:
    """The drift of a dump; `held_out` is what the champion says of tweets like those that it was trained on, but has not seen."""
    return Drift(
        label_psi=stability_index(dump.labels, held_out.labels),
        length_psi=stability_index(dump.lengths, trained_on.lengths),
        word_psi=stability_index(dump.words, trained_on.words),
        more_unseen_words=dump.unseen_share - held_out.unseen_share,
        less_confidence=held_out.confidence - dump.confidence,
    )


def words_of(tweets: DataFrame) -> DataFrame:
    """`part` and `word`: a row for each word of the cleaned texts."""
    words = tweets.select("part", F.explode(F.split(F.lower("clean_text"), " ")).alias("word"))
    return words.where("word != ''")


def vocabulary(training: DataFrame) -> DataFrame:
    """`word` and `rank` of each word of the training side: the FREQUENT_WORDS by their rank from 0, all others with FREQUENT_WORDS."""
    counts = words_of(training).groupBy("word").count()
    frequent = counts.orderBy(F.desc("count"), "word").limit(FREQUENT_WORDS).select("word").collect()
    ranks = training.sparkSession.createDataFrame(
        [(row.word, rank) for rank, row in enumerate(frequent)], "word string, rank int"
    )
    ranked = counts.join(F.broadcast(ranks), "word", how="left")
    return ranked.select("word", F.coalesce("rank", F.lit(FREQUENT_WORDS)).alias("rank"))


def length_group(text: str) -> Column:
    """The number of LENGTH_EDGES that the text in this column reaches."""
    return sum((F.length(text) >= edge).cast("int") for edge in LENGTH_EDGES)  # type: ignore[return-value]  # 0 + Column is a Column


def profiles(tweets: DataFrame, words: DataFrame) -> dict[str, Profile]:
    """The profile of each value of `part`; `tweets` have part, label, safe_text, clean_text and confidence, `words` are `vocabulary`."""
    of_tweets = tweets.groupBy("part", "label", length_group("safe_text").alias("length")).agg(
        F.count("*").alias("tweets"), F.sum("confidence").alias("confidence")
    )
    known = words_of(tweets).join(F.broadcast(words), "word", how="left")
    of_words = known.groupBy("part", F.coalesce("rank", F.lit(-1)).alias("rank")).agg(
        F.count("*").alias("words")
    )
    return assemble(
        [row.asDict() for row in of_tweets.collect()], [row.asDict() for row in of_words.collect()]
    )


def assemble(of_tweets: Iterable[Mapping], of_words: Iterable[Mapping]) -> dict[str, Profile]:
    """The profiles by part, from the rows that Spark has counted; a word of rank -1 is unseen."""
    labels = list(LABEL_NAMES)
    tweets: dict[str, dict] = {}
    for row in of_tweets:
        part = tweets.setdefault(
            row["part"],
            {"labels": [0] * len(labels), "lengths": [0] * (len(LENGTH_EDGES) + 1), "confidence": 0.0},
        )
        part["labels"][labels.index(row["label"])] += row["tweets"]
        part["lengths"][row["length"]] += row["tweets"]
        part["confidence"] += row["confidence"]
    words = {part: [0] * (FREQUENT_WORDS + 1) for part in tweets}
    unseen = dict.fromkeys(tweets, 0)
    for row in of_words:
        words[row["part"]][FREQUENT_WORDS if row["rank"] < 0 else row["rank"]] += row["words"]
        unseen[row["part"]] += row["words"] if row["rank"] < 0 else 0
    return {
        part: Profile(
            tweets=sum(counts["labels"]),
            labels=counts["labels"],
            lengths=counts["lengths"],
            words=words[part],
            unseen=unseen[part],
            confidence=counts["confidence"] / sum(counts["labels"]),
        )
        for part, counts in tweets.items()
    }
