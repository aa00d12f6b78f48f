"""Early stopping, seeds, and what a second try makes of an unfinished training."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import TrainerCallback

from training import fine_tuning
from training.data import read_labelled_tweets
from training.fine_tuning import FineTuned, fine_tune, last_checkpoint
from training.machine import Device
from training.options import arg_parser, config_of

CPU = Device("cpu", "test", "float32")


@pytest.fixture
def tune(tweets_table, tiny_bert, tmp_path):
    """Fine-tunes the tiny BERT with some options; calls with the same folder share their state."""
    tweets = read_labelled_tweets(tweets_table, "safe_text")

    def run(*options: str, folder: str = "state", callbacks: tuple[TrainerCallback, ...] = ()) -> FineTuned:
        config = config_of(
            arg_parser().parse_args(["--preset", "bert", "--tweets", "t", "--batch-size", "16", *options])
        )
        state = tmp_path / folder
        return fine_tune(
            config, tiny_bert, tweets.train, tweets.validation, CPU, 1, state, 5, lambda *_: None, callbacks
        )

    return run


def weights(tuned: FineTuned) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in tuned.model.parameters()])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tune) -> None:
    first, again, other = (
        weights(tune("--epochs", "1", "--seed", seed, folder=folder))
        for seed, folder in (("5", "a"), ("5", "b"), ("6", "c"))
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_two_passes_over_a_batch_without_dropout_teach_what_one_does(tune) -> None:
    def losses(r_drop: str) -> list[float]:
        options = (
            "--epochs",
            "2",
            "--learning-rate",
            "0.001",
            "--pooling",
            "mean",
            "--dropout",
            "0",
            "--r-drop",
            r_drop,
        )
        return [loss for curve in tune(*options, folder=r_drop).curves.values() for _, loss in curve]

    # in other products the sums are rounded otherwise, and Adam makes steps of that
    assert losses("4") == pytest.approx(losses("0"), rel=1e-4)


def test_half_of_its_weight_times_the_divergence_of_two_passes_is_added_to_the_loss(
    tune, monkeypatch
) -> None:
    passes = []

    def one(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        passes.append((first, second))
        return torch.tensor(1.0)

    monkeypatch.setattr(fine_tuning, "divergence", one)
    weighty, weightless = (
        tune("--epochs", "1", "--dropout", "0.3", "--r-drop", r_drop, folder=r_drop)
        for r_drop in ("6", "1e-9")
    )
    assert weighty.curves["train"][0][1] - weightless.curves["train"][0][1] == pytest.approx(
        3, abs=1e-5
    )  # of the first step
    first, second = passes[0]
    assert first.shape == second.shape == (16, 3)
    assert not torch.equal(first, second)
    assert len(passes) == weighty.steps + weightless.steps  # none for the validation part


class KilledError(Exception):
    """Stands for kill -9: nothing of the trainer's own runs after it."""


class KillAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **_) -> None:
        if state.global_step == self.step:
            raise KilledError


@pytest.mark.parametrize(
    "step", [8, 17]
)  # of 10 an epoch: in the first, with a checkpoint at 5, and in the second, with one at 15
def test_a_second_try_ends_with_the_weights_of_an_undisturbed_run(step, tune) -> None:
    options = ("--epochs", "3", "--learning-rate", "0.001", "--patience", "9", "--r-drop", "1")
    undisturbed = tune(*options, folder="undisturbed")
    with pytest.raises(KilledError):
        tune(*options, folder="killed", callbacks=(KillAt(step),))
    resumed = tune(*options, folder="killed")
    assert resumed.steps == undisturbed.steps
    assert (weights(resumed) - weights(undisturbed)).abs().max() < 1e-6
    assert resumed.curves == undisturbed.curves


@pytest.mark.parametrize("before_the_end", [2, 0], ids=["before it loses patience", "after it has"])
def test_a_second_try_has_the_patience_that_the_first_had_left(tune, before_the_end) -> None:
    options = ("--epochs", "30", "--learning-rate", "0.05", "--patience", "3")
    undisturbed = tune(*options, folder="undisturbed")
    if before_the_end:
        with pytest.raises(KilledError):
            tune(*options, folder="killed", callbacks=(KillAt(undisturbed.steps - before_the_end),))
    else:
        tune(*options, folder="killed")  # and dies while it exports
    resumed = tune(*options, folder="killed")
    assert resumed.steps - undisturbed.steps in (
        0,
        1,
    )  # the trainer makes a step before it asks whether to stop
    assert (weights(resumed) - weights(undisturbed)).abs().max() < 1e-6


def test_a_checkpoint_that_was_cut_off_is_not_gone_on_from(tmp_path) -> None:
    for step, content in ((5, "{}\n"), (10, '{"global_st'), (15, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if content is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(content)
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-5")
    assert last_checkpoint(tmp_path / "absent") is None


def test_training_ends_when_the_validation_loss_does_not_fall_and_keeps_the_best_weights(tune) -> None:
    # A learning rate this high spoils the weights soon.
    tuned = tune("--epochs", "30", "--learning-rate", "0.05", "--patience", "3")
    losses = [loss for _, loss in tuned.curves["validation"]]
    assert len(losses) < 60
    assert min(losses) not in losses[-3:]


def test_frozen_embeddings_stay_as_they_were(tune, tiny_bert) -> None:
    from safetensors.torch import load_file

    before = load_file(Path(tiny_bert) / "model.safetensors")["embeddings.word_embeddings.weight"]
    frozen, free = (
        tune("--epochs", "1", option, folder=option).model
        for option in ("--freeze-embeddings", "--no-freeze-embeddings")
    )
    assert torch.equal(frozen.get_input_embeddings().weight, before)
    assert not torch.equal(free.get_input_embeddings().weight, before)


def test_validation_rows_teach_nothing(tune, tweets_table, tiny_bert, tmp_path) -> None:
    tweets = read_labelled_tweets(tweets_table, "safe_text")
    config = config_of(
        arg_parser().parse_args(["--preset", "bert", "--tweets", "t", "--batch-size", "16", "--epochs", "1"])
    )
    flipped = tweets.validation.assign(label=-tweets.validation["label"])
    one = fine_tune(
        config, tiny_bert, tweets.train, tweets.validation, CPU, 1, tmp_path / "one", 5, lambda *_: None
    )
    two = fine_tune(
        config, tiny_bert, tweets.train, pd.DataFrame(flipped), CPU, 1, tmp_path / "two", 5, lambda *_: None
    )
    assert one.curves["train"] == two.curves["train"]
    assert one.curves["validation"] != two.curves["validation"]
