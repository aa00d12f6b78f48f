"""Shares with intervals: labels count as given, predictions are adjusted for the model's errors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from reporting.shares import COUNTS, Shares, estimate_shares, solve
from spark_jobs.scoring.insights.opinion_sections import format_intervals

CONFUSION = [[60, 30, 10], [20, 160, 20], [10, 30, 160]]
RATES = np.array(CONFUSION) / np.array(CONFUSION).sum(axis=1, keepdims=True)


def rows(counts: np.ndarray, part: str = "all") -> list[dict[str, Any]]:
    """Return rows of `text_counts` for (texts, 6) counts."""
    kinds, texts = np.unique(counts, axis=0, return_counts=True)
    return [
        {"part": part, "texts": int(number), **dict(zip(COUNTS, map(int, kind), strict=True))}
        for kind, number in zip(kinds, texts, strict=True)
    ]


def single_texts(counts: Sequence[int]) -> list[dict[str, Any]]:
    """Return rows for tweets without copies. `counts` has the tweets of each of COUNTS."""
    return rows(np.repeat(np.eye(6, dtype=int), counts, axis=0))


def estimate(found: Sequence[Mapping[str, Any]]) -> Shares:
    return estimate_shares(found, CONFUSION)["all"]


def test_labelled_tweets_count_with_their_own_label() -> None:
    found = estimate(single_texts([104, 506, 390, 0, 0, 0]))
    np.testing.assert_allclose(found.shares, [0.104, 0.506, 0.39])
    np.testing.assert_allclose(found.unadjusted, found.shares)
    assert (found.labelled, found.predicted, found.tweets) == (1_000, 0, 1_000)


def test_few_texts_have_no_interval() -> None:
    copies = {"part": "all", "texts": 1, **dict.fromkeys(COUNTS, 0), "predicted_positive": 200}
    assert format_intervals(estimate(single_texts([29, 0, 0, 0, 0, 0]))) == ["100.0 %", "0.0 %", "0.0 %"]
    assert np.isnan(estimate([copies]).interval).all()
    assert not np.isnan(estimate(single_texts([20, 10, 0, 0, 0, 0])).interval).any()


def test_unlabelled_tweets_are_adjusted_for_what_the_model_confuses() -> None:
    truth = np.array([0.3, 0.2, 0.5])
    predicted = (truth @ RATES * 10_000).round().astype(int)
    found = estimate(single_texts([0, 0, 0, *predicted]))
    np.testing.assert_allclose(found.shares, truth, atol=1e-3)
    assert abs(found.unadjusted - truth).max() > 0.05
    assert (found.labelled, found.predicted) == (0, predicted.sum())


def test_labelled_and_adjusted_tweets_are_added() -> None:
    truth, labelled = np.array([0.3, 0.2, 0.5]), np.array([500, 400, 100])
    predicted = (truth @ RATES * 3_000).round().astype(int)
    found = estimate(single_texts([*labelled, *predicted]))
    np.testing.assert_allclose(found.shares, (labelled + 3_000 * truth) / 4_000, atol=1e-3)
    np.testing.assert_allclose(found.unadjusted, (labelled + predicted) / 4_000)


def test_adjusted_shares_are_shares_also_where_the_equation_has_no_such_solution() -> None:
    # fewer negative predictions than the errors alone would give
    found = estimate(single_texts([0, 0, 0, 0, 500, 500])).shares
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    assert found[0] == 0


def test_solution_is_the_closest_possible_one() -> None:
    random = np.random.default_rng(3)
    predicted, rates = random.dirichlet((1, 1, 1), 30), random.dirichlet((1, 1, 1), (30, 3))
    rates[0, 1] = rates[0, 0]  # the model cannot distinguish two labels
    rates[1] = rates[1, 0]  # nor any of them
    for found, shares_of, rate in zip(solve(predicted, rates), predicted, rates, strict=True):

        def distance(x: np.ndarray, rate: np.ndarray = rate, wanted: np.ndarray = shares_of) -> float:
            return float(np.sum((x @ rate - wanted) ** 2))

        limits: dict[str, Any] = {"constraints": {"type": "eq", "fun": lambda x: x.sum() - 1}}
        best = minimize(distance, np.full(3, 1 / 3), bounds=[(0, 1)] * 3, tol=1e-12, **limits)
        assert (found >= 0).all()
        assert found.sum() == pytest.approx(1)
        assert distance(found) <= best.fun + 1e-6


# Texts of Train.csv by the number of their copies.
TEXTS_BY_COPIES = {1: 7_468, 2: 106, 3: 22, 4: 22, 5: 3, 6: 2, 8: 1, 15: 1, 16: 1, 18: 1, 38: 1, 56: 1}
COPIES_RATES = np.array([*TEXTS_BY_COPIES.values()]) / sum(TEXTS_BY_COPIES.values())


def simulate(random: np.random.Generator, texts: int, labelled: float, truth: np.ndarray) -> np.ndarray:
    """Return (texts, 6) counts of a dump.

    Copies are as frequent as in the public data. A model predicts one label for all copies of a text.
    """
    label = random.choice(3, texts, p=truth)
    predicted = (random.random((texts, 1)) > RATES.cumsum(axis=1)[label]).sum(axis=1)
    copies = random.choice(list(TEXTS_BY_COPIES), texts, p=COPIES_RATES)
    given = random.binomial(copies, labelled)
    counts = np.zeros((texts, 6), int)
    counts[np.arange(texts), label] = given
    counts[np.arange(texts), 3 + predicted] = copies - given
    return counts


DUMPS = 200


@pytest.mark.parametrize("texts", [400, 4_000])
@pytest.mark.parametrize("labelled", [1.0, 0.0, 0.5])
def test_intervals_cover_the_truth_of_simulated_dumps(texts: int, labelled: float) -> None:
    random = np.random.default_rng(7)
    truth = np.array([0.10, 0.51, 0.39])
    covered = np.zeros(3)
    for _ in range(DUMPS):
        confusion = [random.multinomial(sum(row), rate) for row, rate in zip(CONFUSION, RATES, strict=True)]
        counts = simulate(random, texts, labelled, truth)
        low, high = estimate_shares(rows(counts), confusion)["all"].interval
        covered += (low <= truth) & (truth <= high)
    assert covered.min() >= 0.9 * DUMPS, covered / DUMPS


def test_copies_of_a_text_are_one_observation() -> None:
    single = estimate(single_texts([100, 500, 400, 0, 0, 0]))
    copied = estimate(rows(10 * np.repeat(np.eye(6, dtype=int), [10, 50, 40, 0, 0, 0], axis=0)))
    np.testing.assert_allclose(copied.shares, single.shares)
    ratio = np.ptp(copied.interval, axis=0) / np.ptp(single.interval, axis=0)
    np.testing.assert_allclose(ratio, np.sqrt(10), rtol=0.15)


def test_more_texts_make_the_interval_narrower() -> None:
    few, many = (
        np.ptp(estimate(single_texts([n, 5 * n, 4 * n, 0, 0, 0])).interval, axis=0) for n in (10, 1_000)
    )
    assert (many < few / 5).all()


def test_parts_are_estimated_apart_and_do_not_depend_on_the_order_of_rows() -> None:
    random = np.random.default_rng(2)
    first = rows(simulate(random, 300, 0.5, np.array([0.1, 0.5, 0.4])), "first")
    second = rows(simulate(random, 300, 0.0, np.array([0.5, 0.1, 0.4])), "second")
    both = estimate_shares([*second, *first][::-1], CONFUSION)
    for part, found in (("first", first), ("second", second)):
        alone = estimate_shares(found, CONFUSION)[part]
        np.testing.assert_array_equal(alone.interval, both[part].interval)
        np.testing.assert_array_equal(alone.shares, both[part].shares)


def test_label_without_eval_rows_is_an_error() -> None:
    with pytest.raises(ValueError, match="a label has no row on the eval side"):
        estimate_shares(single_texts([1, 2, 3, 0, 0, 0]), [[0, 0, 0], [1, 2, 3], [1, 2, 3]])
