"""What a CUDA graph requires of a training step, without a GPU, and the loss of a step."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.training.conftest import invented_tweets
from tests.training.tiny_models import MAKERS
from training.fine_tuning import step as step_module
from training.fine_tuning.batches import NO_LABEL, NO_ROW, TokenisedTweets
from training.fine_tuning.device import Device
from training.fine_tuning.step import (
    RECORDABLE,
    TAKES_PREPARED_MASK,
    TrainingStep,
    decay_groups,
    divergence,
    prepared_mask,
    weighted_losses,
)
from training.models.classifier import MeanPooledClassifier, load_classifier, load_tokenizer
from training.models.presets import TrainingConfig
from training.options import arg_parser, build_config


def config_of(preset: str, *options: str) -> TrainingConfig:
    return build_config(
        arg_parser().parse_args(["--preset", preset, "--tweets", "t", "--batch-size", "8", *options])
    )


def step_on(
    device: str, checkpoint: Path, config: TrainingConfig, precision: str = "float32"
) -> TrainingStep:
    tokenizer = load_tokenizer(checkpoint, config)
    torch.manual_seed(0)
    model = load_classifier(checkpoint, config, tokenizer).to(device)
    rows = invented_tweets(40)
    rows = TokenisedTweets(rows[rows["label"].notna()], "votes", tokenizer, torch.device(device), 1)
    return TrainingStep(model, rows, config, [1.0, 1.0, 1.0], Device(device, "test", precision))


class NothingFromTheHost(TorchDispatchMode):
    """Fail if a value is read on the host, or if a tensor moves between host and device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        assert "_local_scalar_dense" not in func.name(), "a value is read on the host"
        devices = {
            each.device.type for each in (*args, result) if isinstance(each, torch.Tensor) and each.dim()
        }
        assert len(devices) < 2, f"{func.name()} has tensors on {devices}"
        return result


@pytest.mark.parametrize("pooling", ["native", "mean"])
@pytest.mark.parametrize("architecture", MAKERS)
def test_a_recorded_step_neither_reads_nor_copies_anything_from_the_host(
    architecture, pooling, checkpoint_of, monkeypatch
) -> None:
    # While a graph is recorded, transformers does not ask whether a mask hides a token.
    monkeypatch.setattr("transformers.masking_utils.is_tracing", lambda *_: True)
    monkeypatch.setattr(torch.optim, "AdamW", lambda *_, **__: None)  # reads its learning rate once
    config = config_of(architecture, "--r-drop", "1", "--pooling", pooling)
    step = step_on("meta", checkpoint_of(architecture), config)
    assert step.model.config.model_type in RECORDABLE
    with NothingFromTheHost():
        step._forward(6)[0].backward()


@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert"])
def test_a_prepared_mask_gives_the_logits_of_the_tokenizers_mask(architecture, checkpoint_of) -> None:
    config = config_of(architecture, "--pooling", "mean")
    step = step_on("cpu", checkpoint_of(architecture), config)
    model = step.model.eval()
    assert isinstance(model, MeanPooledClassifier)
    assert model.config.model_type in TAKES_PREPARED_MASK
    inputs = step._rows.inputs(torch.arange(12), max(step._rows.lengths))
    assert (inputs["attention_mask"] == 0).any()
    mask = prepared_mask(inputs["attention_mask"], torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(model(**inputs, encoder_mask=mask).logits, model(**inputs).logits)
    # The attention copies a mask whose rows do not begin at multiples of eight elements.
    assert all(stride % step_module.MASK_ALIGNMENT == 0 for stride in mask.stride()[:-1])


def test_the_steps_before_recording_do_not_change_the_training(tiny_bert) -> None:
    step = step_on("cpu", tiny_bert, config_of("bert"))
    before = [weight.detach().clone() for weight in step.model.parameters()]
    step.prepare([12, 8])
    assert all(map(torch.equal, step.model.parameters(), before))
    assert not any(tensor.any() for tensor in step.state()["optimiser"])


@pytest.mark.parametrize("r_drop", ["0", "2"])
def test_missing_rows_of_the_last_batch_have_no_effect(r_drop, tiny_bert) -> None:
    losses, weights = [], []
    for batch, size in (([3, 5, 7, 9], "4"), ([3, 5, 7, 9] + [NO_ROW] * 4, "8")):
        config = config_of("bert", "--r-drop", r_drop, "--dropout", "0")
        step = step_on(
            "cpu", tiny_bert, config_of("bert", "--r-drop", r_drop, "--dropout", "0", "--batch-size", size)
        )
        assert config.dropout == 0
        for module in step.model.modules():  # the attention's dropout is not a setting
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        step.prepare([12])
        step.run(torch.tensor(batch), step._rows.width(batch), 0.01, seed=1)
        losses.append([step.objective.item(), step.loss.item()])
        weights.append(torch.cat([weight.detach().flatten() for weight in step.model.parameters()]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    torch.testing.assert_close(weights[0], weights[1], atol=2e-3, rtol=0)


def test_the_loss_is_the_cross_entropy_of_the_rows_with_a_label(tiny_bert) -> None:
    step = step_on("cpu", tiny_bert, config_of("bert", "--r-drop", "2", "--dropout", "0"))
    for module in step.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    rows = step._rows
    rows.class_ids[3] = NO_LABEL
    step.prepare([12])
    width = rows.width([3, 5, 7, 9])
    with torch.no_grad():
        logits = step.model(**rows.inputs(torch.tensor([5, 7, 9]), width)).logits
        expected = torch.nn.functional.cross_entropy(logits, rows.class_ids[[5, 7, 9]]).item()
    step.run(torch.tensor([3, 5, 7, 9] + [NO_ROW] * 4), width, 0.01, seed=1)
    assert step.loss.item() == pytest.approx(expected, rel=1e-4)
    assert step.objective.item() != pytest.approx(expected, rel=1e-4)


def test_bfloat16_weights_follow_float32_weights(tiny_bert) -> None:
    step = step_on("cpu", tiny_bert, config_of("bert", "--bf16-weights"), "bfloat16")
    step.prepare([12])
    before = step.model.classifier.weight.detach().clone()
    step.run(torch.arange(8), step._rows.width(list(range(8))), 1e-5, seed=1)
    moved = step.model.classifier.weight.detach()
    assert moved.dtype == torch.float32
    assert 0 < (moved - before).abs().max() < 1e-4  # bfloat16 would round most of these changes away
    assert torch.equal(step._worker.classifier.weight, moved.bfloat16())


def test_biases_and_normalisations_do_not_decay(checkpoint_of) -> None:
    from transformers import Trainer

    for architecture in ("bert", "mpnet", "xlnet", "gpt2"):
        config = config_of(architecture)
        checkpoint = checkpoint_of(architecture)
        model = load_classifier(checkpoint, config, load_tokenizer(checkpoint, config))
        decayed, others = decay_groups(model, 0.1)
        names = {id(weight): name for name, weight in model.named_parameters()}
        expected = set(Trainer.get_decay_parameter_names(None, model))
        assert {names[id(weight)] for weight in decayed["params"]} == expected, architecture
        assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)


def test_losses_are_weighted_by_the_classes_of_a_row() -> None:
    logits = torch.tensor([[math.log(2), 0, 0], [0, 0, 0]])  # probabilities 1/2, 1/4, 1/4 and 1/3, 1/3, 1/3
    shares = torch.tensor([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])  # weights 3 and (3 + 1 + 2) / 3
    weights = torch.tensor([3.0, 1.0, 2.0])
    once = weighted_losses(logits, shares, weights).tolist()
    assert once == pytest.approx([3 * math.log(2), 2 * math.log(3)], abs=1e-6)
    twice = torch.cat([logits, torch.zeros(2, 3)])  # the second pass has ln 3 for each row
    both = weighted_losses(twice, shares, weights).tolist()
    assert both == pytest.approx([3 * (math.log(2) + math.log(3)) / 2, 2 * math.log(3)], abs=1e-6)


def test_divergence_is_the_mean_of_both_directions() -> None:
    first, second = torch.tensor([[math.log(2), 0, 0], [5.0, 0, 0]]), torch.tensor([[0.0, 0, 0], [6.0, 1, 1]])
    # First row: 1/2, 1/4, 1/4 against 1/3, 1/3, 1/3 gives (1/6 ln 3/2 + 1/6 ln 4/3) / 2. Second row: equal.
    assert divergence(first, second).tolist() == pytest.approx([0.0577623, 0], abs=1e-6)
