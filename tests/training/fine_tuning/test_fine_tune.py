"""Early stopping, seeds, and the resumption of an unfinished training."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from training.data.labelled_tweets import read_labelled_tweets
from training.fine_tuning import fine_tune as fine_tune_module
from training.fine_tuning import loop
from training.fine_tuning import step as step_module
from training.fine_tuning.device import Device
from training.fine_tuning.fine_tune import FineTuned, fine_tune
from training.fine_tuning.loop import STATE_FILE, learning_rates
from training.fine_tuning.step import TrainingStep
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

    def run(*options: str, folder: str = "state", **arguments: Any) -> FineTuned:
        config = build_config(
            arg_parser().parse_args(["--preset", "bert", "--tweets", "t", "--batch-size", "16", *options])
        )
        state = tmp_path / folder
        rows = tweets.train, tweets.validation
        return fine_tune(config, tiny_bert, *rows, state, log_every_steps=5, **arguments)

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
        return torch.ones(len(first))

    monkeypatch.setattr(step_module, "divergence", one)
    logged: dict[str, list[dict[str, float]]] = {"6": [], "1e-9": []}
    heavy, light = (
        tune(
            *("--epochs", "1", "--dropout", "0.3", "--r-drop", r_drop),
            folder=r_drop,
            log_metrics=lambda metrics, _, found=found: found.append(metrics),
        )
        for r_drop, found in logged.items()
    )
    first_steps = [found[0]["train/objective"] for found in logged.values()]
    assert first_steps[0] - first_steps[1] == pytest.approx(3, abs=1e-5)
    assert heavy.curves["train"][0] == pytest.approx(light.curves["train"][0], abs=1e-5)
    first, second = passes[0]
    assert first.shape == second.shape == (16, 3)
    assert not torch.equal(first, second)
    # Not for the validation part. Each training begins with a step that changes nothing.
    assert len(passes) == heavy.steps + light.steps + 2


class KilledError(Exception):
    """Simulates kill -9: the training executes no code after it."""


@pytest.fixture
def kill_at(monkeypatch):
    """Kills the next training in the step after `step` finished ones, once."""

    def kill(step: int) -> None:
        run, steps = TrainingStep.run, iter(range(step + 1))

        def killed(self: TrainingStep, *arguments: Any, **options: Any) -> None:
            if next(steps, None) == step:
                raise KilledError
            run(self, *arguments, **options)

        monkeypatch.setattr(TrainingStep, "run", killed)

    return kill


@pytest.mark.parametrize("step", [3, 8, 17])  # an epoch has 10 steps
@pytest.mark.parametrize("seconds", [0, 1e9], ids=["saved after each step", "never saved"])
def test_a_resumed_training_gives_the_weights_of_an_uninterrupted_one(
    step, seconds, tune, kill_at, monkeypatch, tmp_path
) -> None:
    options = ("--epochs", "3", "--learning-rate", "0.001", "--patience", "9", "--r-drop", "1")
    uninterrupted = tune(*options, folder="uninterrupted")
    monkeypatch.setattr(loop, "STATE_SECONDS", seconds)
    kill_at(step)
    with pytest.raises(KilledError):
        tune(*options, folder="killed")
    assert (tmp_path / "killed" / STATE_FILE).is_file() == (seconds == 0)
    (tmp_path / "killed" / f"{STATE_FILE}.unfinished").write_bytes(b"killed while writing")
    resumed = tune(*options, folder="killed")
    assert resumed.steps == uninterrupted.steps
    assert (weights(resumed) - weights(uninterrupted)).abs().max() < 1e-6
    assert resumed.curves == uninterrupted.curves
    assert resumed.metrics["train/mean_loss"] == pytest.approx(uninterrupted.metrics["train/mean_loss"])


def test_the_speed_of_a_resumed_training_counts_the_time_before_the_interruption(
    tune, kill_at, monkeypatch
) -> None:
    class Clock:
        now = 0.0

    def run(self: TrainingStep, *arguments: Any, **options: Any) -> None:
        Clock.now += 2
        original(self, *arguments, **options)

    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: Clock.now))
    monkeypatch.setattr(loop, "STATE_SECONDS", 0)
    original = TrainingStep.run
    monkeypatch.setattr(TrainingStep, "run", run)
    options = ("--epochs", "2", "--patience", "9")
    kill_at(15)
    with pytest.raises(KilledError):
        tune(*options)
    Clock.now += 1000  # until the retry
    resumed = tune(*options)
    assert resumed.steps == 20
    assert resumed.metrics["speed/train_seconds"] == pytest.approx(40)
    assert resumed.metrics["speed/train_samples_per_second"] == pytest.approx(8)


@pytest.mark.parametrize("before_the_end", [2, 0], ids=["before early stopping", "after early stopping"])
def test_a_resumed_training_continues_the_count_of_patience(
    tune, before_the_end, kill_at, monkeypatch
) -> None:
    monkeypatch.setattr(loop, "STATE_SECONDS", 0)
    options = ("--epochs", "30", "--learning-rate", "0.05", "--patience", "3")
    uninterrupted = tune(*options, folder="uninterrupted")
    if before_the_end:
        kill_at(uninterrupted.steps - before_the_end)
        with pytest.raises(KilledError):
            tune(*options, folder="killed")
    else:
        tune(*options, folder="killed")  # as if the process had died during the export
    resumed = tune(*options, folder="killed")
    assert resumed.steps == uninterrupted.steps
    assert (weights(resumed) - weights(uninterrupted)).abs().max() < 1e-6


def test_the_learning_rate_rises_to_the_maximum_and_falls_to_0() -> None:
    options = ["--preset", "bert", "--tweets", "t", "--batch-size", "16", "--epochs", "2.5"]
    config = build_config(
        arg_parser().parse_args([*options, "--learning-rate", "1", "--warmup-share", "0.2"])
    )
    # 50 rows are 4 batches; 2 of 10 steps are the warm-up
    assert learning_rates(config, 50) == pytest.approx(
        [0, 0.5, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]
    )


def test_training_stops_early_and_keeps_the_best_weights(tune) -> None:
    # Training diverges soon with this learning rate.
    tuned = tune("--epochs", "30", "--learning-rate", "0.05", "--patience", "3")
    losses = [loss for _, loss in tuned.curves["validation"]]
    assert len(losses) < 60
    assert min(losses) not in losses[-3:]


def test_additional_evaluations_do_not_influence_the_training(tune) -> None:
    options = ("--epochs", "2", "--dropout", "0.1", "--patience", "2")
    alone, watched = tune(*options, folder="a"), tune(*options, folder="b", validate_every_steps=1)
    assert torch.equal(weights(alone), weights(watched))
    assert [step for step, _ in watched.curves["validation"]] == list(range(1, watched.steps + 1))
    assert set(alone.curves["validation"]) < set(watched.curves["validation"])


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
