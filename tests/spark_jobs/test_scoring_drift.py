"""Dumps from another population breach a limit; samples of the training data do not."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import numpy as np
import pytest

from benchmarks.varied_tweets import FREQUENT
from spark_jobs.scoring.drift import FREQUENT_WORDS, LENGTH_EDGES, Drift, Profile, assemble, measure
from spark_jobs.scoring.drift_table import drift_columns

# Words by Zipf's law, the project's subject among the frequent ones, and 3,000 rare ones.
WORDS = [*FREQUENT, *(f"rare{number}" for number in range(3_000))]
OTHER_TOPIC = [
    word
    for word in FREQUENT
    if not word.startswith(("vacc", "measles", "autism", "immun", "disease", "flu", "health", "kids"))
]
FOOTBALL = [
    *OTHER_TOPIC[:8],
    "goal",
    "match",
    "league",
    "coach",
    *OTHER_TOPIC[8:],
    *(f"player{number}" for number in range(3_000)),
]
SPANISH = [
    "la",
    "de",
    "que",
    "el",
    "en",
    "vacuna",
    "no",
    "los",
    "niños",
    "por",
    *(f"palabra{number}" for number in range(3_000)),
]
SHARES = (0.1, 0.5, 0.4)


def invent(
    count: int, words: Sequence[str], seed: int, shares: Sequence[float] = SHARES, confidence: float = 0.8
) -> list[dict]:
    random = np.random.default_rng(seed)
    zipf = 1 / np.arange(1, len(words) + 1)
    tweets = []
    for label in random.choice(3, count, p=shares):
        chosen = random.choice(words, random.integers(4, 29), p=zipf / zipf.sum())
        tweets.append(
            {
                "label": int(label) - 1,
                "words": list(chosen),
                "confidence": float(np.clip(random.normal(confidence, 0.1), 0.34, 1)),
            }
        )
    return tweets


def profile_of(tweets: Sequence[dict], training: Sequence[dict]) -> Profile:
    """Count in Python as Spark does."""
    counts = Counter(word for tweet in training for word in tweet["words"])
    rank_of = dict.fromkeys(counts, FREQUENT_WORDS) | {
        word: rank for rank, (word, _) in enumerate(counts.most_common(FREQUENT_WORDS))
    }
    of_tweets = [
        {
            "part": "all",
            "label": tweet["label"],
            "length": sum(len(" ".join(tweet["words"])) >= edge for edge in LENGTH_EDGES),
            "tweets": 1,
            "confidence": tweet["confidence"],
        }
        for tweet in tweets
    ]
    of_words = [
        {"part": "all", "rank": rank_of.get(word, -1), "words": 1}
        for tweet in tweets
        for word in tweet["words"]
    ]
    return assemble(of_tweets, of_words)["all"]


TRAINING, HELD_OUT = invent(6_000, WORDS, seed=1), invent(1_500, WORDS, seed=2)
REFERENCE = profile_of(TRAINING, TRAINING), profile_of(HELD_OUT, TRAINING)


def drift_of(tweets: Sequence[dict]) -> Drift:
    return measure(profile_of(tweets, TRAINING), *REFERENCE)


def draw_profiles(
    count: int, tweets: int, population: Profile, seed: int, labels: Sequence[float] = SHARES
) -> Iterator[Profile]:
    """Yield profiles of dumps with the lengths and words of a population, and other labels."""
    random = np.random.default_rng(seed)
    words = round(tweets * sum(population.words) / population.texts)
    for _ in range(count):
        yield replace(
            population,
            texts=tweets,
            labels=random.multinomial(tweets, labels),
            lengths=random.multinomial(tweets, np.array(population.lengths) / population.texts),
            words=random.multinomial(words, np.array(population.words) / sum(population.words)),
            unseen=words * population.unseen_share,
        )


@pytest.mark.parametrize("tweets", [50, 200, 1_000, 5_000, 20_000, 100_000])
def test_no_false_alarm_in_400_draws_from_the_same_population(tweets: int) -> None:
    train, held_out = REFERENCE
    draws = draw_profiles(400, tweets, train, seed=3)
    assert [found for draw in draws if (found := measure(draw, train, held_out).breaches())] == []


@pytest.mark.parametrize("tweets", [1_000, 2_000, 10_000, 100_000])
def test_doubled_negative_share_is_found_from_1000_tweets_on(tweets: int) -> None:
    train, held_out = REFERENCE
    doubled = (2 * SHARES[0], *np.array(SHARES[1:]) * (1 - 2 * SHARES[0]) / (1 - SHARES[0]))
    draws = draw_profiles(100, tweets, train, seed=4, labels=doubled)
    found = sum("label_psi" in measure(draw, train, held_out).breaches() for draw in draws)
    assert found >= 95, found


def test_dumps_of_whole_tweets_from_the_same_population_breach_nothing() -> None:
    """In whole tweets the words are not independent."""
    population = invent(3_000, WORDS, seed=10)
    random = np.random.default_rng(3)
    draws = ([population[row] for row in random.choice(len(population), 200)] for _ in range(20))
    assert [breaches for draw in draws if (breaches := drift_of(draw).breaches())] == []


def test_new_tweets_of_the_same_kind_breach_nothing() -> None:
    assert drift_of(invent(1_000, WORDS, seed=4)).breaches() == []


def test_another_language_breaches_the_word_limits() -> None:
    assert {"word_psi", "unseen_word_increase"} <= set(drift_of(invent(300, SPANISH, seed=5)).breaches())


def test_another_topic_breaches_the_word_limit() -> None:
    assert "word_psi" in drift_of(invent(300, FOOTBALL, seed=6)).breaches()


def test_another_label_distribution_breaches_the_label_limit() -> None:
    assert drift_of(invent(1_000, WORDS, seed=7, shares=(0.5, 0.3, 0.2))).breaches() == ["label_psi"]


def test_lower_confidence_breaches_its_limit() -> None:
    assert drift_of(invent(1_000, WORDS, seed=8, confidence=0.6)).breaches() == ["confidence_drop"]


def test_longer_texts_breach_the_length_limit() -> None:
    training, held_out = REFERENCE
    longer = replace(held_out, lengths=held_out.lengths[::-1])
    assert measure(longer, training, held_out).breaches() == ["length_psi"]


def test_dump_with_fewer_than_50_new_texts_is_not_measured() -> None:
    train, held_out = REFERENCE
    reference, nothing = {"train": train, "eval": held_out}, [None] * len(fields(Drift))
    assert drift_columns(None, reference) == (0, *nothing, [])
    assert drift_columns(replace(held_out, texts=49), reference) == (49, *nothing, [])


def test_rows_of_several_parts_are_counted_apart() -> None:
    of_tweets = [
        {"part": "a", "label": -1, "length": 0, "tweets": 2, "confidence": 1.2},
        {"part": "a", "label": 1, "length": 3, "tweets": 2, "confidence": 2.0},
        {"part": "b", "label": 0, "length": 8, "tweets": 1, "confidence": 0.5},
    ]
    of_words = [
        {"part": "a", "rank": 0, "words": 5},
        {"part": "a", "rank": -1, "words": 3},
        {"part": "a", "rank": 50, "words": 2},
    ]
    found = assemble(of_tweets, of_words)
    assert (found["a"].texts, found["a"].labels, found["a"].confidence, found["a"].unseen_share) == (
        4,
        (2, 0, 2),
        0.8,
        0.3,
    )
    assert (found["a"].words[0], found["a"].words[-1], sum(found["a"].words)) == (5, 5, 10)
    # a dump that consists of links has no word
    assert (found["b"].lengths[-1], found["b"].unseen_share) == (1, 0.0)
