"""Shares of the labels in a set of tweets, with intervals.

Labelled tweets count with their own label. The labels of the other tweets are predicted, and their shares are
adjusted for the model's errors (adjusted classify-and-count, Forman 2008). The counts of both are added.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from contracts.statistics import COUNTS

# A bootstrap of fewer texts is unreliable: of three equal texts, every resample is equal.
MIN_TEXTS_FOR_INTERVAL = 30
SHARES_TEXT = (
    "The 95 % interval includes the sampling of texts, where copies of a text are one observation, and the "
    f"uncertainty of the error rates. Shares in fewer than {MIN_TEXTS_FOR_INTERVAL} distinct texts have no "
    "interval. The shares are correct if the model has the same error rates on the "
    "tweets without a label. Unadjusted: shares if each predicted label counts as it is."
)
RESAMPLES = 1_000
RESAMPLES_PER_BLOCK = 50  # divides RESAMPLES; bounds the memory
INTERVAL = (2.5, 97.5)  # percent
SEED = 1


@dataclass(frozen=True)
class Shares:
    """Shares of negative, neutral and positive in a set of tweets.

    Attributes:
        labelled: number of tweets that count with their own label.
        predicted: number of tweets without a label.
        shares: (3,) shares; those of the tweets without a label are adjusted.
        interval: (2, 3) ends of the 95 % intervals of `shares`, NaN below MIN_TEXTS_FOR_INTERVAL.
        unadjusted: (3,) shares if each predicted label counts as it is.
    """

    labelled: int
    predicted: int
    shares: np.ndarray
    interval: np.ndarray
    unadjusted: np.ndarray

    @property
    def tweets(self) -> int:
        """Return the number of tweets."""
        return self.labelled + self.predicted

    @property
    def has_interval(self) -> bool:
        """Return whether there are enough texts for `interval`."""
        return not np.isnan(self.interval).any()


def estimate_shares(
    rows: Iterable[Mapping[str, Any]], confusion: Sequence[Sequence[int]]
) -> dict[str, Shares]:
    """Return the shares in each part.

    The interval resamples texts and the eval side. All copies of a text are drawn together, because they are
    not independent.

    Args:
        rows: `part`, COUNTS, and the number of `texts` of the part that have these counts.
        confusion: counts on the eval side; rows are true labels, columns predicted ones.

    Raises:
        ValueError: a label does not occur on the eval side.
    """
    eval_side = np.asarray(confusion)
    if not eval_side.sum(axis=1).all():
        raise ValueError(f"a label has no row on the eval side: {eval_side.tolist()}")
    rates = eval_side / eval_side.sum(axis=1, keepdims=True)
    random = np.random.default_rng((SEED, 0))
    resampled_rates = np.stack(
        [
            random.multinomial(row.sum(), rate, RESAMPLES) / row.sum()
            for row, rate in zip(eval_side, rates, strict=True)
        ],
        axis=1,
    )
    parts = defaultdict(list)
    for row in rows:
        parts[row["part"]].append((row["texts"], *(row[name] for name in COUNTS)))
    # Spark returns rows in any order. Sorted, a retry has the same intervals.
    return {part: estimate(np.array(sorted(found)), rates, resampled_rates) for part, found in parts.items()}


def estimate(texts: np.ndarray, rates: np.ndarray, resampled_rates: np.ndarray) -> Shares:
    """Return the shares in one part.

    Args:
        texts: (kinds, 1 + 6) number of texts that have the same COUNTS, and these counts.
        rates: (3, 3) rates of the predicted labels for each true label.
        resampled_rates: (RESAMPLES, 3, 3) the same, resampled.
    """
    number, counts = texts[:, 0], texts[:, 1:]
    total = number @ counts
    interval = np.full((2, 3), np.nan)
    if number.sum() >= MIN_TEXTS_FOR_INTERVAL:
        # A bootstrap of texts is equivalent to a multinomial sample of their kinds.
        random, kinds = np.random.default_rng((SEED, 1)), number / number.sum()
        resampled = np.concatenate(
            [
                random.multinomial(number.sum(), kinds, RESAMPLES_PER_BLOCK) @ counts
                for _ in range(RESAMPLES // RESAMPLES_PER_BLOCK)
            ]
        )
        interval = np.percentile(add_up(resampled, resampled_rates), INTERVAL, axis=0)
    [shares] = add_up(total[np.newaxis], rates[np.newaxis])
    return Shares(
        labelled=int(total[:3].sum()),
        predicted=int(total[3:].sum()),
        shares=shares,
        interval=interval,
        unadjusted=(total[:3] + total[3:]) / total.sum(),
    )


def add_up(counts: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Return the (n, 3) shares for (n, 6) COUNTS and (n, 3, 3) rates."""
    labelled, predicted = counts[:, :3], counts[:, 3:]
    unlabelled = predicted.sum(axis=1, keepdims=True)
    adjusted: np.ndarray = solve(predicted / np.maximum(unlabelled, 1), rates) * unlabelled
    shares: np.ndarray = (labelled + adjusted) / counts.sum(axis=1, keepdims=True)
    return shares


def solve(predicted: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Return the (n, 3) shares that minimise |shares @ rates - predicted|: not negative, with the sum 1.

    They are the true shares for which a model with these error rates predicts the (n, 3) shares `predicted`.

    >>> rates = np.array([[[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.1, 0.9]]])
    >>> solve(np.array([[0.2, 0.3, 0.5]]) @ rates[0], rates).round(6).tolist()
    [[0.2, 0.3, 0.5]]
    """
    normals = np.cross(np.roll(rates, -1, axis=1), np.roll(rates, -2, axis=1))
    volume = np.sum(rates[:, :1] * normals[:, :1], axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):  # two labels may have the same rates
        shares: np.ndarray = np.sum(normals * predicted[:, np.newaxis], axis=2) / volume
    # If the exact solution does not exist or is negative, one of the shares is 0.
    outside = ~(shares >= 0).all(axis=1)
    predicted, rates = predicted[outside], rates[outside]
    best = np.full(len(predicted), np.inf)
    solutions = np.empty((len(predicted), 3))
    for first, second in combinations(range(3), 2):
        step = rates[:, first] - rates[:, second]
        projection = np.sum((predicted - rates[:, second]) * step, axis=1)
        share = np.clip(projection / np.maximum(np.sum(step**2, axis=1), np.finfo(float).tiny), 0, 1)
        distance = np.sum((rates[:, second] + share[:, np.newaxis] * step - predicted) ** 2, axis=1)
        is_better = distance < best
        best[is_better] = distance[is_better]
        solutions[is_better] = 0
        solutions[is_better, first], solutions[is_better, second] = share[is_better], 1 - share[is_better]
    shares[outside] = solutions
    return shares
