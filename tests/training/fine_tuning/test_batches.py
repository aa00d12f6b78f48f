"""Order of the training rows, their targets and weights."""

import itertools
import math
import random
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from training.fine_tuning.batches import ShuffledLengthBatches
from training.fine_tuning.targets import class_shares, class_weights
from training.fine_tuning.trainer import LengthBatchTrainer, divergence

LENGTHS = random.Random(1).choices(range(5, 100), k=1010)


def batches_of(order: list[int]) -> list[list[int]]:
    return [order[start : start + 10] for start in range(0, len(order), 10)]


def test_every_row_occurs_once() -> None:
    assert sorted(ShuffledLengthBatches(LENGTHS, 16, 1)) == list(range(len(LENGTHS)))


def test_a_batch_has_rows_of_similar_length() -> None:
    order = list(ShuffledLengthBatches(LENGTHS, 10, 1))
    spread = [
        max(LENGTHS[row] for row in batch) - min(LENGTHS[row] for row in batch) for batch in batches_of(order)
    ]
    # The 500 rows of a pool have 95 lengths: ten neighbours differ by about 2, ten random rows by about 80.
    assert sum(spread) / len(spread) < 5


def test_batches_are_in_random_order_of_length() -> None:
    means = [
        sum(LENGTHS[row] for row in batch) / 10
        for batch in batches_of(list(ShuffledLengthBatches(LENGTHS, 10, 1)))
    ]
    falling = sum(before > after for before, after in itertools.pairwise(means))
    assert 35 < falling < 65  # of 100; in sorted batches all would fall or rise


def test_the_order_depends_on_epoch_and_seed() -> None:
    sampler, again = ShuffledLengthBatches(LENGTHS, 10, 1), ShuffledLengthBatches(LENGTHS, 10, 1)
    first = list(sampler)
    sampler.set_epoch(1)
    again.set_epoch(1)
    second = list(sampler)
    assert first != second
    # A run that is resumed in the second epoch does not iterate over the first.
    assert second == list(again)


def test_an_incomplete_batch_is_last() -> None:
    order = list(ShuffledLengthBatches(LENGTHS[:25], 10, 1))
    assert len(order) == 25
    assert all(max(LENGTHS[r] for r in b) - min(LENGTHS[r] for r in b) < 60 for b in batches_of(order)[:2])


def test_a_rare_class_has_a_greater_weight_and_the_mean_weight_of_a_row_is_1() -> None:
    rows = pd.DataFrame({"label": [-1] * 4 + [0] * 25 + [1] * 16, "agreement": 1.0})
    weights = class_weights(rows, "votes", 0.5)
    # The mean class size is 15. The roots of 15/4, 15/25 and 15/16 are 1.93649, 0.77460 and 0.96825.
    assert [weight / weights[0] for weight in weights] == pytest.approx(
        [1, 0.77460 / 1.93649, 0.96825 / 1.93649], abs=1e-5
    )
    assert (4 * weights[0] + 25 * weights[1] + 16 * weights[2]) / 45 == pytest.approx(1)
    assert class_weights(rows, "votes", 0.0) == [1.0, 1.0, 1.0]


def test_an_agreement_below_a_third_gives_equal_shares() -> None:
    rows = pd.DataFrame({"label": [1, 1], "agreement": [0.0, 0.2]})
    np.testing.assert_allclose(class_shares(rows, "votes"), np.full((2, 3), 1 / 3), atol=1e-7)


def test_shares_are_the_votes_of_the_annotators() -> None:
    rows = pd.DataFrame({"label": [-1, 0, 1, 1], "agreement": [1.0, 2 / 3, 2 / 3, 1 / 3]})
    third, sixth = 1 / 3, 1 / 6
    np.testing.assert_allclose(
        class_shares(rows, "votes"),
        # Three annotators with three opinions: equal shares, whichever label the tie-break chose.
        [[1, 0, 0], [sixth, 2 / 3, sixth], [sixth, sixth, 2 / 3], [third, third, third]],
        atol=1e-7,
    )


def test_a_teacher_has_half_of_a_labelled_row_and_all_of_an_unlabelled_one() -> None:
    rows = pd.DataFrame({"label": [1.0, 1.0, None], "agreement": 1.0})
    taught = pd.DataFrame(
        {"p_negative": [0.2, None, 0.2], "p_neutral": [0.4, None, 0.4], "p_positive": [0.4, None, 0.4]}
    )
    np.testing.assert_allclose(
        class_shares(rows.join(taught), "votes"), [[0.1, 0.2, 0.7], [0, 0, 1], [0.2, 0.4, 0.4]], atol=1e-7
    )


def test_unlabelled_rows_do_not_influence_class_weights() -> None:
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


def test_with_label_targets_the_label_has_the_whole_share() -> None:
    rows = pd.DataFrame({"label": [-1, 0, 1], "agreement": [1 / 3, 2 / 3, 1.0]})
    assert class_shares(rows, "label").tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("smoothing", "expected"),
    [
        # (3 ln 2 + 2 ln 3) / 2: the row weights are 3 and 2
        (0.0, 2.1383330),
        # Each class gets 0.1 of 0.3. The targets of the first row become 0.8, 0.1, 0.1, its loss
        # 0.8 ln 2 + 0.2 ln 4. The second row does not change.
        (0.3, 2.3462772),
    ],
)
def test_loss_is_the_mean_of_the_weighted_losses_of_the_rows(smoothing: float, expected: float) -> None:
    trainer = LengthBatchTrainer.__new__(LengthBatchTrainer)  # the constructor needs a model
    trainer._class_weights = torch.tensor([3.0, 1.0, 2.0])
    trainer.args = SimpleNamespace(label_smoothing_factor=smoothing)
    logits = torch.tensor([[math.log(2), 0, 0], [0, 0, 0]])  # probabilities 1/2, 1/4, 1/4 and 1/3, 1/3, 1/3
    shares = torch.tensor([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])  # weights 3 and (3 + 1 + 2) / 3
    assert trainer._weighted_loss({"logits": logits}, shares).item() == pytest.approx(expected, abs=1e-6)


def test_divergence_is_the_mean_of_both_directions() -> None:
    first, second = torch.tensor([[math.log(2), 0, 0], [5.0, 0, 0]]), torch.tensor([[0.0, 0, 0], [6.0, 1, 1]])
    # First row: 1/2, 1/4, 1/4 against 1/3, 1/3, 1/3 gives (1/6 ln 3/2 + 1/6 ln 4/3) / 2. Second row: equal.
    assert divergence(first, second).item() == pytest.approx(0.0577623 / 2, abs=1e-6)
