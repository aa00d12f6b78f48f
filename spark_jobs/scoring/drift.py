"""Measure drift: the distance of a dump from the champion's data in labels, lengths, words and confidence.

Distances of distributions are population stability indices (PSI). A distance is a breach if it is larger than
chance explains for a dump of this size: the limit is the largest of many simulated distances between samples
of one population. With a million tweets every difference is significant, so no limit is below MIN_LIMIT.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from operator import add

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from scipy.special import rel_entr

from contracts.labels import LABELS

LENGTH_EDGES = (40, 60, 80, 100, 120, 140, 200, 280)  # characters; boundaries of the length groups
FREQUENT_WORDS = 50
# Smaller dumps are not measured: their few words may exceed the fixed limits by chance.
MIN_TEXTS = 50
# Added to each count, so that the distance is finite if a group is empty on one side.
PSEUDO_COUNT = 0.5
DISTANCES = ("label_psi", "length_psi", "word_psi")
# Limits of the other measures, which are differences to the eval side of the champion's data.
FIXED_LIMITS = {"unseen_word_increase": 0.25, "confidence_drop": 0.15}
MIN_LIMIT = 0.02
# Simulated distances. The limit is the largest one: each distance exceeds it in one of 10,000 dumps without
# drift.
DRAWS = 10_000
SEED = 1
# Words of a tweet depend on each other: their distance varies as that of fewer independent words. Measured on
# the public data: docs/experiments/scoring.md.
WORDS_PER_INDEPENDENT_WORD = 1.3


@dataclass(frozen=True)
class Profile:
    """Counts over a set of texts. All copies of a text count once.

    Attributes:
        texts: number of texts.
        labels: texts of each predicted label.
        lengths: texts of each length group.
        words: occurrences of each frequent word of the train side; the last entry counts all other words.
        unseen: occurrences of words that are not on the train side.
        confidence: mean of the highest probability.
    """

    texts: int
    labels: tuple[int, ...]
    lengths: tuple[int, ...]
    words: tuple[int, ...]
    unseen: int
    confidence: float

    @property
    def unseen_share(self) -> float:
        """Return the share of unseen words among all words."""
        return self.unseen / max(1, sum(self.words))


@dataclass(frozen=True)
class Drift:
    """Measures, and the limits of DISTANCES. A larger value is a larger distance."""

    label_psi: float
    length_psi: float
    word_psi: float
    unseen_word_increase: float
    confidence_drop: float
    label_psi_limit: float
    length_psi_limit: float
    word_psi_limit: float

    def breaches(self) -> list[str]:
        """Return the names of the measures above their limits."""
        limits = {name: getattr(self, f"{name}_limit") for name in DISTANCES} | FIXED_LIMITS
        return [name for name, limit in limits.items() if getattr(self, name) > limit]


def stability_index(counts: Sequence[int] | np.ndarray, reference: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the PSI of distributions over the same groups: (..., groups) counts -> (...) distances.

    >>> stability_index([100, 200], [1000, 2000]) < 0.001, stability_index([200, 100], [1000, 2000]) > 0.1
    (np.True_, np.True_)
    """
    now, before = (np.asarray(each) + PSEUDO_COUNT for each in (counts, reference))
    now, before = (each / each.sum(axis=-1, keepdims=True) for each in (now, before))
    distances: np.ndarray = (rel_entr(now, before) + rel_entr(before, now)).sum(axis=-1)
    return distances


def chance_limit(counts: Sequence[int], reference: tuple[int, ...], per_independent: float = 1) -> float:
    """Return the limit of the PSI of `counts`, from distances between two samples of one population.

    The samples have the sizes of the two sides, divided by `per_independent`.
    """
    size = int(sum(counts) / per_independent)
    # Two digits of the size are enough, and dumps of about the same size share a simulation.
    size -= size % 10 ** max(0, len(str(size)) - 2)
    return simulate_limit(size, reference, int(sum(reference) / per_independent))


@cache
def simulate_limit(size: int, reference: tuple[int, ...], reference_size: int) -> float:
    """Return the largest PSI of two samples with the distribution of `reference` in DRAWS simulations."""
    random = np.random.default_rng(SEED)
    population = np.asarray(reference) + PSEUDO_COUNT
    samples = (
        random.multinomial(number, population / population.sum(), DRAWS) for number in (size, reference_size)
    )
    return max(MIN_LIMIT, float(stability_index(*samples).max()))


def measure(dump: Profile, train: Profile, held_out: Profile) -> Drift:
    """Return the drift of a dump.

    `train` and `held_out` are the train and eval sides of the champion's data.
    """
    return Drift(
        label_psi=float(stability_index(dump.labels, held_out.labels)),
        length_psi=float(stability_index(dump.lengths, train.lengths)),
        word_psi=float(stability_index(dump.words, train.words)),
        unseen_word_increase=dump.unseen_share - held_out.unseen_share,
        confidence_drop=held_out.confidence - dump.confidence,
        label_psi_limit=chance_limit(dump.labels, held_out.labels),
        length_psi_limit=chance_limit(dump.lengths, train.lengths),
        word_psi_limit=chance_limit(dump.words, train.words, WORDS_PER_INDEPENDENT_WORD),
    )


def one_per_text(tweets: DataFrame) -> DataFrame:
    """Return one row for each text in each `part`: copies are not independent, as the limits assume.

    The result has the columns part, text_group, label, text, clean_text and confidence.
    """
    first = F.min_by(F.struct("label", "text", "clean_text", "confidence"), "tweet_id")
    return tweets.groupBy("part", "text_group").agg(first.alias("row")).select("part", "text_group", "row.*")


def explode_words(tweets: DataFrame) -> DataFrame:
    """Return `part` and `word`, one row for each word of the cleaned texts."""
    words = tweets.select("part", F.explode(F.split(F.lower("clean_text"), " ")).alias("word"))
    return words.where("word != ''")


def rank_vocabulary(training: DataFrame) -> DataFrame:
    """Return `word` and `rank` from 0 of each word of the train side.

    All rare words have the rank FREQUENT_WORDS.
    """
    counts = explode_words(training).groupBy("word").count()
    frequent = counts.orderBy(F.desc("count"), "word").limit(FREQUENT_WORDS).select("word").collect()
    ranks = training.sparkSession.createDataFrame(
        [(row.word, rank) for rank, row in enumerate(frequent)], "word string, rank int"
    )
    ranked = counts.join(F.broadcast(ranks), "word", how="left")
    return ranked.select("word", F.coalesce("rank", F.lit(FREQUENT_WORDS)).alias("rank"))


def length_group(text: str) -> Column:
    """Return the number of LENGTH_EDGES that a text reaches."""
    return reduce(add, ((F.length(text) >= edge).cast("int") for edge in LENGTH_EDGES))


def build_profiles(tweets: DataFrame, words: DataFrame) -> dict[str, Profile]:
    """Return the profile of each value of `part`.

    Args:
        tweets: result of `one_per_text`.
        words: result of `rank_vocabulary`.
    """
    of_tweets = tweets.groupBy("part", "label", length_group("text").alias("length")).agg(
        F.count("*").alias("tweets"), F.sum("confidence").alias("confidence")
    )
    ranked = explode_words(tweets).join(F.broadcast(words), "word", how="left")
    of_words = ranked.groupBy("part", F.coalesce("rank", F.lit(-1)).alias("rank")).agg(
        F.count("*").alias("words")
    )
    return assemble(
        [row.asDict() for row in of_tweets.collect()], [row.asDict() for row in of_words.collect()]
    )


def assemble(of_tweets: Iterable[Mapping], of_words: Iterable[Mapping]) -> dict[str, Profile]:
    """Return the profile of each part from counts of tweets and words. Unseen words have the rank -1."""
    tweets: dict[str, dict] = {}
    for row in of_tweets:
        part = tweets.setdefault(
            row["part"],
            {"labels": [0] * len(LABELS), "lengths": [0] * (len(LENGTH_EDGES) + 1), "confidence": 0.0},
        )
        part["labels"][LABELS.index(row["label"])] += row["tweets"]
        part["lengths"][row["length"]] += row["tweets"]
        part["confidence"] += row["confidence"]
    words = {part: [0] * (FREQUENT_WORDS + 1) for part in tweets}
    unseen = dict.fromkeys(tweets, 0)
    for row in of_words:
        words[row["part"]][FREQUENT_WORDS if row["rank"] < 0 else row["rank"]] += row["words"]
        unseen[row["part"]] += row["words"] if row["rank"] < 0 else 0
    return {
        part: Profile(
            texts=sum(counts["labels"]),
            labels=tuple(counts["labels"]),
            lengths=tuple(counts["lengths"]),
            words=tuple(words[part]),
            unseen=unseen[part],
            confidence=counts["confidence"] / sum(counts["labels"]),
        )
        for part, counts in tweets.items()
    }
