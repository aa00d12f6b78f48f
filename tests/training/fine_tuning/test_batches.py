"""Order of the training rows, their targets and weights."""

import itertools
import random

import numpy as np
import pandas as pd
import pytest
import torch

from contracts.exit_status import InputError
from training.fine_tuning.batches import NO_ROW, TokenisedTweets, length_batches, sorted_batches
from training.fine_tuning.targets import class_shares, class_weights
from training.models.classifier import load_tokenizer
from training.options import arg_parser, build_config

LENGTHS = random.Random(1).choices(range(5, 100), k=1010)


def test_every_row_occurs_once() -> None:
    batches = length_batches(LENGTHS, 16, 1, 0)
    assert sorted(row for batch in batches for row in batch if row != NO_ROW) == list(range(len(LENGTHS)))


def test_a_batch_has_rows_of_similar_length() -> None:
    spread = [
        max(LENGTHS[row] for row in batch) - min(LENGTHS[row] for row in batch)
        for batch in length_batches(LENGTHS, 10, 1, 0)
    ]
    # The 500 rows of a pool have 95 lengths: ten neighbours differ by about 2, ten random rows by about 80.
    assert sum(spread) / len(spread) < 5


def test_batches_are_in_random_order_of_length() -> None:
    means = [sum(LENGTHS[row] for row in batch) / 10 for batch in length_batches(LENGTHS, 10, 1, 0)]
    falling = sum(before > after for before, after in itertools.pairwise(means))
    assert 35 < falling < 65  # of 100; in sorted batches all would fall or rise


def test_the_order_depends_on_epoch_and_seed() -> None:
    orders = [length_batches(LENGTHS, 10, seed, epoch) for seed, epoch in ((1, 0), (1, 1), (2, 0))]
    assert all(one != other for one, other in itertools.combinations(orders, 2))
    assert length_batches(LENGTHS, 10, 1, 1) == orders[1]


def test_an_incomplete_batch_is_last_and_filled_up() -> None:
    *full, last = length_batches(LENGTHS[:25], 10, 1, 0)
    assert [len(batch) for batch in full] == [10, 10]
    assert NO_ROW not in [row for batch in full for row in batch]
    assert last[5:] == [NO_ROW] * 5
    assert NO_ROW not in last[:5]


def test_an_evaluation_takes_rows_from_the_shortest_to_the_longest() -> None:
    batches = sorted_batches(LENGTHS[:25], 10)
    assert [len(batch) for batch in batches] == [10, 10, 5]
    assert [LENGTHS[row] for batch in batches for row in batch] == sorted(LENGTHS[:25])


@pytest.mark.parametrize("architecture", ["bert", "xlnet"])  # padding at the right and at the left
def test_a_width_contains_every_token_of_its_rows(architecture, checkpoint_of) -> None:
    texts = ["thanks", "never refuse the vaccine", "the vaccine works today my child"]
    rows = pd.DataFrame({"text": texts, "label": 0, "agreement": 1.0})
    config = build_config(arg_parser().parse_args(["--preset", architecture, "--tweets", "t"]))
    tokenizer = load_tokenizer(checkpoint_of(architecture), config)
    tokenised = TokenisedTweets(rows, "label", tokenizer, torch.device("cpu"), 4)
    expected = tokenizer(
        texts[:2], padding="max_length", max_length=tokenised.width([0, 1]), return_tensors="pt"
    )
    found = tokenised.inputs(torch.tensor([0, 1]), tokenised.width([0, 1, NO_ROW]))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert 0 <= tokenised.width([0]) - tokenised.lengths[0] < 4
    assert tokenised.width([2]) == max(tokenised.lengths)  # there are no more columns


def test_a_rare_class_has_a_greater_weight_and_the_mean_weight_of_a_row_is_1() -> None:
    rows = pd.DataFrame({"label": [-1] * 4 + [0] * 25 + [1] * 16, "agreement": 1.0})
    weights = class_weights(rows, "votes", 0.5)
    # The mean class size is 15. The roots of 15/4, 15/25 and 15/16 are 1.93649, 0.77460 and 0.96825.
    assert [weight / weights[0] for weight in weights] == pytest.approx(
        [1, 0.77460 / 1.93649, 0.96825 / 1.93649], abs=1e-5
    )
    assert (4 * weights[0] + 25 * weights[1] + 16 * weights[2]) / 45 == pytest.approx(1)
    assert class_weights(rows, "votes", 0.0) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("power", [0.0, 0.25])
def test_training_rows_without_some_label_are_bad_input(power) -> None:
    # All texts of the label may be in the validation part, or in the fold that is held out.
    rows = pd.DataFrame({"label": [-1, -1, 1], "agreement": 2 / 3})
    with pytest.raises(InputError, match="no row of some label"):
        class_weights(rows, "votes", power)


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
