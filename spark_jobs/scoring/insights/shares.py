"""Shares of the labels, as predicted and adjusted for the model's errors, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

RESAMPLES = 1_000
INTERVAL = (2.5, 97.5)  # percent
# Weight of the equation "the shares add up to 1" in the least squares.
SUM_WEIGHT = 1_000.0


@dataclass(frozen=True)
class Shares:
    """Shares of negative, neutral and positive, (3,), and their 95 % intervals, (2, 3)."""

    shares: np.ndarray
    interval: np.ndarray


def predicted_shares(counts: Sequence[int], seed: int = 1) -> Shares:
    """Return the shares of the predicted labels with bootstrap intervals over the tweets.

    A bootstrap of tweets is equivalent to a multinomial sample of the counts.
    """
    total = sum(counts)
    shares = np.asarray(counts) / total
    resampled = np.random.default_rng(seed).multinomial(total, shares, RESAMPLES) / total
    return Shares(shares, np.percentile(resampled, INTERVAL, axis=0))


def adjusted_shares(counts: Sequence[int], confusion: Sequence[Sequence[int]], seed: int = 1) -> Shares:
    """Return the shares adjusted for the model's errors (adjusted classify-and-count, Forman 2008).

    They are the true shares for which the model would predict these counts, if its error rates are those on
    the eval side. The interval resamples both the tweets and the eval side.

    Args:
        counts: tweets of each predicted label.
        confusion: counts on the eval side; rows are true labels, columns predicted ones.
        seed: of the resampling.

    Raises:
        ValueError: a label does not occur on the eval side.
    """
    truth = np.asarray(confusion)
    if not truth.sum(axis=1).all():
        raise ValueError(f"a label has no row on the eval side: {truth.tolist()}")
    random = np.random.default_rng(seed)
    total = sum(counts)
    tweets = random.multinomial(total, np.asarray(counts) / total, RESAMPLES) / total
    rates = np.stack(
        [random.multinomial(row.sum(), row / row.sum(), RESAMPLES) / row.sum() for row in truth], axis=1
    )
    resampled = [solve(shares, rate) for shares, rate in zip(tweets, rates, strict=True)]
    estimate = solve(np.asarray(counts) / total, truth / truth.sum(axis=1, keepdims=True))
    return Shares(estimate, np.percentile(resampled, INTERVAL, axis=0))


def solve(predicted: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Return the non-negative (3,) shares that add up to 1 and minimise |shares @ rates - predicted|.

    >>> rates = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.1, 0.9]])
    >>> solve(np.array([0.2, 0.3, 0.5]) @ rates, rates).round(6).tolist()
    [0.2, 0.3, 0.5]
    """
    found, _ = nnls(np.vstack([rates.T, np.full(len(rates), SUM_WEIGHT)]), np.append(predicted, SUM_WEIGHT))
    return found / found.sum()
