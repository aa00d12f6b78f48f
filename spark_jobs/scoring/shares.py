"""Shares of the labels among scored tweets, with intervals, as predicted and adjusted for the mistakes that the model is known to make."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

RESAMPLES = 1_000
INTERVAL = (2.5, 97.5)  # percent
# How much more it counts that the shares add up to 1 than that each predicted share is met.
WEIGHT_OF_SUM = 1_000.0


@dataclass(frozen=True)
class Shares:
    """(3,) shares of negative, neutral and positive, and (2, 3) lower and upper ends of their 95 % intervals."""

    shares: np.ndarray
    interval: np.ndarray


def predicted_shares(counts: Sequence[int], seed: int = 1) -> Shares:
    """Shares of the predicted labels; the interval is the bootstrap's over the tweets.

    To draw tweets with replacement and count their labels is to draw the counts from a multinomial distribution.
    """
    total = sum(counts)
    shares = np.asarray(counts) / total
    resampled = np.random.default_rng(seed).multinomial(total, shares, RESAMPLES) / total
    return Shares(shares, np.percentile(resampled, INTERVAL, axis=0))


def adjusted_shares(counts: Sequence[int], confusion: Sequence[Sequence[int]], seed: int = 1) -> Shares:
    """Adjusted classify-and-count (Forman 2008): the true shares under which the model would predict these counts.

    `confusion` counts the eval side, rows the true label, columns the predicted one. The interval resamples the tweets and the eval side, so it
    is wider than that of the predicted shares. It assumes that the model confuses labels here as it does there.

    Raises:
        ValueError: a label does not occur in the eval side.
    """
    truth = np.asarray(confusion)
    if not truth.sum(axis=1).all():
        raise ValueError(f"no eval row of some label: {truth.tolist()}")
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
    """(3,) shares, none negative, adding up to 1, that come nearest to shares @ rates = predicted.

    >>> rates = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.1, 0.9]])
    >>> solve(np.array([0.2, 0.3, 0.5]) @ rates, rates).round(6).tolist()
    [0.2, 0.3, 0.5]
    """
    found, _ = nnls(
        np.vstack([rates.T, np.full(len(rates), WEIGHT_OF_SUM)]), np.append(predicted, WEIGHT_OF_SUM)
    )
    return found / found.sum()
