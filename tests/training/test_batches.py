"""The order of rows in training, what each teaches, and what it weighs."""

import itertools
import math
import random
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from training.batches import ShuffledLengthBatches
from training.fine_tuning import LengthBatchTrainer, class_shares, class_weights, divergence

LENGTHS = random.Random(1).choices(range(5, 100), k=1010)


def batches_of(order: list[int]) -> list[list[int]]:
    return [order[start : start + 10] for start in range(0, len(order), 10)]


def test_every_row_comes_once() -> None:
    assert sorted(ShuffledLengthBatches(LENGTHS, 16, 1)) == list(range(len(LENGTHS)))


def test_a_batch_holds_rows_of_like_length() -> None:
    order = list(ShuffledLengthBatches(LENGTHS, 10, 1))
    spread = [
        max(LENGTHS[row] for row in batch) - min(LENGTHS[row] for row in batch) for batch in batches_of(order)
    ]
    # 500 rows of a pool cover 95 lengths: ten neighbours differ by some two, ten random rows by some eighty
    assert sum(spread) / len(spread) < 5


def test_long_and_short_batches_come_in_random_order() -> None:
    means = [
        sum(LENGTHS[row] for row in batch) / 10
        for batch in batches_of(list(ShuffledLengthBatches(LENGTHS, 10, 1)))
    ]
    falling = sum(before > after for before, after in itertools.pairwise(means))
    assert 35 < falling < 65  # of 100; batches in order of length would fall or rise each time


def test_epochs_differ_and_a_seed_repeats_them() -> None:
    sampler, again = ShuffledLengthBatches(LENGTHS, 10, 1), ShuffledLengthBatches(LENGTHS, 10, 1)
    first = list(sampler)
    sampler.set_epoch(1)
    again.set_epoch(1)
    second = list(sampler)
    assert first != second
    # a run that is resumed in the second epoch has not seen the first
    assert second == list(again)


def test_a_short_batch_comes_last() -> None:
    order = list(ShuffledLengthBatches(LENGTHS[:25], 10, 1))
    assert len(order) == 25
    assert all(max(LENGTHS[r] for r in b) - min(LENGTHS[r] for r in b) < 60 for b in batches_of(order)[:2])


def test_a_rare_class_weighs_more_rows_weigh_1_on_average_and_without_power_all_weigh_alike() -> None:
    rows = pd.DataFrame({"label": [-1] * 4 + [0] * 25 + [1] * 16, "agreement": 1.0})
    weights = class_weights(rows, "votes", 0.5)
    # 15 rows a class on average: the roots of 15/4, 15/25 and 15/16 are 1.93649, 0.77460, 0.96825
    assert [weight / weights[0] for weight in weights] == pytest.approx(
        [1, 0.77460 / 1.93649, 0.96825 / 1.93649], abs=1e-5
    )
    assert (4 * weights[0] + 25 * weights[1] + 16 * weights[2]) / 45 == pytest.approx(1)
    assert class_weights(rows, "votes", 0.0) == [1.0, 1.0, 1.0]


def test_an_agreement_below_a_third_teaches_nothing_and_not_the_opposite() -> None:
    rows = pd.DataFrame({"label": [1, 1], "agreement": [0.0, 0.2]})
    np.testing.assert_allclose(class_shares(rows, "votes"), np.full((2, 3), 1 / 3), atol=1e-7)


def test_a_row_teaches_what_its_annotators_have_voted() -> None:
    rows = pd.DataFrame({"label": [-1, 0, 1, 1], "agreement": [1.0, 2 / 3, 2 / 3, 1 / 3]})
    third, sixth = 1 / 3, 1 / 6
    np.testing.assert_allclose(
        class_shares(rows, "votes"),
        # three annotators with three opinions teach nothing, whatever label the tie-break has given
        [[1, 0, 0], [sixth, 2 / 3, sixth], [sixth, sixth, 2 / 3], [third, third, third]],
        atol=1e-7,
    )


def test_a_teacher_is_half_of_what_a_labelled_row_teaches_and_all_of_what_an_unlabelled_one_does() -> None:
    rows = pd.DataFrame({"label": [1.0, 1.0, None], "agreement": 1.0})
    taught = pd.DataFrame(
        {"p_negative": [0.2, None, 0.2], "p_neutral": [0.4, None, 0.4], "p_positive": [0.4, None, 0.4]}
    )
    np.testing.assert_allclose(
        class_shares(rows.join(taught), "votes"), [[0.1, 0.2, 0.7], [0, 0, 1], [0.2, 0.4, 0.4]], atol=1e-7
    )


def test_unlabelled_rows_do_not_make_a_class_frequent() -> None:
    rows = pd.DataFrame(
        {
            "label": [-1.0, 0.0, 1.0, None],
            "agreement": 1.0,
            "p_negative": 0.0,
            "p_neutral": 1.0,
            "p_positive": 0.0,
        }
    )
    assert class_weights(rows, "votes", 1.0) == pytest.approx([1, 1, 1])


def test_a_row_teaches_its_label_alone_where_that_is_asked_for() -> None:
    rows = pd.DataFrame({"label": [-1, 0, 1], "agreement": [1 / 3, 2 / 3, 1.0]})
    assert class_shares(rows, "label").tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("smoothing", "expected"),
    [
        # (3 ln 2 + 2 ln 3) / 2: each row weighs as much as the classes in it
        (0.0, 2.1383330),
        # of 0.3 each class gets 0.1: the first row's targets are 0.8, 0.1, 0.1, its loss 0.8 ln 2 + 0.2 ln 4; an even row stays even
        (0.3, 2.3462772),
    ],
)
def test_loss_is_the_mean_over_rows_each_weighing_as_its_classes(smoothing: float, expected: float) -> None:
    trainer = LengthBatchTrainer.__new__(LengthBatchTrainer)  # a whole one wants a model
    trainer._class_weights = torch.tensor([3.0, 1.0, 2.0])
    trainer.args = SimpleNamespace(label_smoothing_factor=smoothing)
    logits = torch.tensor([[math.log(2), 0, 0], [0, 0, 0]])  # probabilities 1/2, 1/4, 1/4 and three times 1/3
    shares = torch.tensor([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])  # weights 3 and (3 + 1 + 2) / 3
    assert trainer._weighted_loss({"logits": logits}, shares).item() == pytest.approx(expected, abs=1e-6)


def test_two_passes_differ_by_the_mean_of_both_divergences() -> None:
    first, second = torch.tensor([[math.log(2), 0, 0], [5.0, 0, 0]]), torch.tensor([[0.0, 0, 0], [6.0, 1, 1]])
    # probabilities 1/2, 1/4, 1/4 and three times 1/3: (1/6 ln 3/2 + 1/6 ln 4/3) / 2; the second row says the same twice
    assert divergence(first, second).item() == pytest.approx(0.0577623 / 2, abs=1e-6)
