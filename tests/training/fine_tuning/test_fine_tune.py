"""Early stopping, seeds, and the resumption of an unfinished training."""

from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback

from training.data.labelled_tweets import read_labelled_tweets
from training.fine_tuning import fine_tune as fine_tune_module
from training.fine_tuning import trainer
from training.fine_tuning.device import Device
from training.fine_tuning.fine_tune import FineTuned, fine_tune, last_checkpoint
from training.options import arg_parser, build_config


@pytest.fixture(autouse=True)
def one_cpu_thread(monkeypatch) -> None:
    """The same device, precision and thread on every machine."""
    monkeypatch.setattr(fine_tune_module, "choose_device", lambda: Device("cpu", "test", "float32"))
    monkeypatch.setattr(fine_tune_module, "choose_threads", lambda: 1)


@pytest.fixture
def tune(tweets_table, tiny_bert, tmp_path):
    """Fine-tunes the tiny BERT with some options; calls with the same folder share their state."""
    tweets = read_labelled_tweets(tweets_table, "safe_text")

    def run(*options: str, folder: str = "state", callbacks: tuple[TrainerCallback, ...] = ()) -> FineTuned:
        config = build_config(
            arg_parser().parse_args(["--preset", "bert", "--tweets", "t", "--batch-size", "16", *options])
        )
        state = tmp_path / folder
        rows = tweets.train, tweets.validation
        return fine_tune(config, tiny_bert, *rows, state, log_every_steps=5, callbacks=callbacks)

    return run


def weights(tuned: FineTuned) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in tuned.model.parameters()])


def test_the_seed_determines_the_weights(tune) -> None:
    first, again, other = (
        weights(tune("--epochs", "1", "--seed", seed, folder=folder))
        for seed, folder in (("5", "a"), ("5", "b"), ("6", "c"))
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_without_dropout_r_drop_has_no_effect(tune) -> None:
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

    # sums are rounded differently in larger matrix products, and Adam amplifies this
    assert losses("4") == pytest.approx(losses("0"), rel=1e-4)


def test_r_drop_adds_half_its_weight_times_the_divergence_to_the_loss(tune, monkeypatch) -> None:
    passes = []

    def one(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        passes.append((first, second))
        return torch.tensor(1.0)

    monkeypatch.setattr(trainer, "divergence", one)
    heavy, light = (
        tune("--epochs", "1", "--dropout", "0.3", "--r-drop", r_drop, folder=r_drop)
        for r_drop in ("6", "1e-9")
    )
    assert heavy.curves["train"][0][1] - light.curves["train"][0][1] == pytest.approx(
        3, abs=1e-5
    )  # first step
    first, second = passes[0]
    assert first.shape == second.shape == (16, 3)
    assert not torch.equal(first, second)
    assert len(passes) == heavy.steps + light.steps  # not for the validation part


class KilledError(Exception):
    """Simulates kill -9: the trainer executes no code after it."""


class KillAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **_) -> None:
        if state.global_step == self.step:
            raise KilledError


@pytest.mark.parametrize("step", [8, 17])  # an epoch has 10 steps; there are checkpoints at 5 and 15
def test_a_resumed_training_gives_the_weights_of_an_uninterrupted_one(step, tune) -> None:
    options = ("--epochs", "3", "--learning-rate", "0.001", "--patience", "9", "--r-drop", "1")
    uninterrupted = tune(*options, folder="uninterrupted")
    with pytest.raises(KilledError):
        tune(*options, folder="killed", callbacks=(KillAt(step),))
    resumed = tune(*options, folder="killed")
    assert resumed.steps == uninterrupted.steps
    assert (weights(resumed) - weights(uninterrupted)).abs().max() < 1e-6
    assert resumed.curves == uninterrupted.curves


@pytest.mark.parametrize("before_the_end", [2, 0], ids=["before early stopping", "after early stopping"])
def test_a_resumed_training_continues_the_count_of_patience(tune, before_the_end) -> None:
    options = ("--epochs", "30", "--learning-rate", "0.05", "--patience", "3")
    uninterrupted = tune(*options, folder="uninterrupted")
    if before_the_end:
        with pytest.raises(KilledError):
            tune(*options, folder="killed", callbacks=(KillAt(uninterrupted.steps - before_the_end),))
    else:
        tune(*options, folder="killed")  # as if the process had died during the export
    resumed = tune(*options, folder="killed")
    assert resumed.steps - uninterrupted.steps in (
        0,
        1,
    )  # the Trainer makes one step before it checks for a stop
    assert (weights(resumed) - weights(uninterrupted)).abs().max() < 1e-6


def test_incomplete_checkpoints_are_ignored(tmp_path) -> None:
    for step, content in ((5, "{}\n"), (10, '{"global_st'), (15, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if content is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(content)
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-5")
    assert last_checkpoint(tmp_path / "absent") is None


def test_training_stops_early_and_keeps_the_best_weights(tune) -> None:
    # Training diverges soon with this learning rate.
    tuned = tune("--epochs", "30", "--learning-rate", "0.05", "--patience", "3")
    losses = [loss for _, loss in tuned.curves["validation"]]
    assert len(losses) < 60
    assert min(losses) not in losses[-3:]


def test_frozen_embeddings_do_not_change(tune, tiny_bert) -> None:
    from safetensors.torch import load_file

    before = load_file(Path(tiny_bert) / "model.safetensors")["embeddings.word_embeddings.weight"]
    frozen, free = (
        tune("--epochs", "1", option, folder=option).model
        for option in ("--freeze-embeddings", "--no-freeze-embeddings")
    )
    assert torch.equal(frozen.get_input_embeddings().weight, before)
    assert not torch.equal(free.get_input_embeddings().weight, before)


def test_validation_rows_do_not_influence_the_gradient(tune, tweets_table, tiny_bert, tmp_path) -> None:
    tweets = read_labelled_tweets(tweets_table, "safe_text")
    config = build_config(
        arg_parser().parse_args(["--preset", "bert", "--tweets", "t", "--batch-size", "16", "--epochs", "1"])
    )
    flipped = tweets.validation.assign(label=-tweets.validation["label"])
    one, two = (
        fine_tune(config, tiny_bert, tweets.train, rows, tmp_path / name, log_every_steps=5)
        for name, rows in (("one", tweets.validation), ("two", flipped))
    )
    assert one.curves["train"] == two.curves["train"]
    assert one.curves["validation"] != two.curves["validation"]
