"""Shares with intervals, as predicted and adjusted for known mistakes."""

import numpy as np
import pytest

from spark_jobs.scoring.insights import shares
from spark_jobs.scoring.insights.shares import adjusted_shares, predicted_shares

CONFUSION = [[60, 30, 10], [20, 160, 20], [10, 30, 160]]
RATES = np.array(CONFUSION) / np.array(CONFUSION).sum(axis=1, keepdims=True)


def test_adjusted_shares_undo_what_the_model_confuses() -> None:
    truth = np.array([0.3, 0.2, 0.5])
    predicted = (truth @ RATES * 100_000).round().astype(int)
    assert abs(predicted_shares(predicted).shares - truth).max() > 0.05
    np.testing.assert_allclose(adjusted_shares(predicted, CONFUSION).shares, truth, atol=1e-3)


def test_adjusted_shares_are_shares_also_where_the_equation_has_no_such_solution() -> None:
    # fewer negative predictions than the mistakes alone would give
    found = adjusted_shares([0, 500, 500], CONFUSION).shares
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    assert found[0] == 0


def test_intervals_cover_the_truth_as_often_as_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "RESAMPLES", 200)
    random = np.random.default_rng(7)
    truth = np.array([0.15, 0.5, 0.35])
    covered = np.zeros(3)
    for draw in range(100):
        confusion = [random.multinomial(row.sum(), row / row.sum()) for row in np.array(CONFUSION)]
        counts = random.multinomial(2_000, truth @ RATES)
        low, high = adjusted_shares(counts, confusion, seed=draw).interval
        covered += (low <= truth) & (truth <= high)
    assert covered.min() >= 88, covered


def test_more_tweets_make_the_interval_of_predicted_shares_narrower() -> None:
    few, many = (np.ptp(predicted_shares([n, 5 * n, 4 * n]).interval, axis=0) for n in (10, 1_000))
    assert (many < few / 5).all()


def test_label_without_eval_rows_is_an_error() -> None:
    with pytest.raises(ValueError, match="a label has no row on the eval side"):
        adjusted_shares([1, 2, 3], [[0, 0, 0], [1, 2, 3], [1, 2, 3]])
