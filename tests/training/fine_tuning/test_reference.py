"""The training loop against transformers' Trainer: the same losses and learning rates, step by step."""

from functools import partial
from typing import Any

import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div
from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

from tests.training.conftest import invented_tweets
from training.fine_tuning import fine_tune as fine_tune_module
from training.fine_tuning.batches import NO_ROW, length_batches
from training.fine_tuning.device import Device
from training.fine_tuning.fine_tune import fine_tune
from training.fine_tuning.loop import step_seed
from training.fine_tuning.targets import class_shares, class_weights
from training.models.classifier import load_classifier, load_tokenizer
from training.models.presets import TrainingConfig
from training.options import arg_parser, build_config


class Reference(Trainer):
    """Soft targets, class weights and R-Drop in Trainer, in batches of a given order."""

    def __init__(
        self, config: TrainingConfig, weights: list[float], order: list[int], **arguments: Any
    ) -> None:
        super().__init__(compute_loss_func=self.weighted_loss, **arguments)
        self.config, self.weights, self.order = config, torch.tensor(weights), order

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None) -> Any:
        if not (self.config.r_drop and model.training):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        twice = {name: torch.cat([rows, rows]) for name, rows in inputs.items()}
        loss, outputs = super().compute_loss(model, twice, True, num_items_in_batch)
        first, second = (part.log_softmax(dim=1) for part in outputs["logits"].float().chunk(2))
        divergence = partial(kl_div, reduction="batchmean", log_target=True)
        return loss + self.config.r_drop / 4 * (divergence(first, second) + divergence(second, first))

    def weighted_loss(
        self, outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        logits = outputs["logits"].float()
        losses = cross_entropy(logits, labels, reduction="none")
        return (losses * (labels * self.weights).sum(dim=1)).mean()

    def _get_train_sampler(self, train_dataset: Any = None) -> list[int]:
        return self.order


class StepSeeds(TrainerCallback):
    """Seed each step as the loop does, so that both have the same dropout."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_step_begin(self, args, state, control, **_) -> None:
        torch.manual_seed(step_seed(self.seed, state.global_step))


def reference_history(
    config: TrainingConfig, checkpoint, train: pd.DataFrame, folder, precision: str
) -> list:
    """Return Trainer's log of one epoch, in the batches of the loop."""
    torch.manual_seed(config.seed)
    tokenizer = load_tokenizer(checkpoint, config)
    model = load_classifier(checkpoint, config, tokenizer)
    encoded = tokenizer(train["text"].tolist(), truncation=True)
    shares = class_shares(train, config.targets).tolist()
    rows = [
        {name: encoded[name][row] for name in encoded} | {"labels": shares[row]} for row in range(len(train))
    ]
    lengths = list(map(len, encoded["input_ids"]))
    batches = length_batches(lengths, config.batch_size, config.seed, 0)
    order = [row for batch in batches for row in batch]
    assert NO_ROW not in order
    arguments = TrainingArguments(
        str(folder),
        num_train_epochs=1,
        learning_rate=config.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=config.warmup_share,
        weight_decay=config.weight_decay,
        optim="adamw_torch_fused",
        per_device_train_batch_size=config.batch_size,
        bf16=precision == "bfloat16",
        use_cpu=True,
        logging_steps=1,
        save_strategy="no",
        label_names=["labels"],
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = Reference(
        config,
        class_weights(train, config.targets, config.class_weight_power),
        order,
        model=model,
        args=arguments,
        train_dataset=rows,
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[StepSeeds(config.seed)],
    )
    trainer.train()
    return [entry for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize(
    ("precision", "options", "tolerance"),
    [
        ("float32", ["--dropout", "0"], 1e-5),
        ("float32", ["--r-drop", "4", "--pooling", "mean", "--freeze-embeddings"], 1e-5),
        ("bfloat16", ["--targets", "label"], 2e-3),
    ],
    ids=["plain", "R-Drop", "bfloat16"],
)
def test_losses_and_gradients_are_those_of_the_trainer(
    precision, options, tolerance, tiny_bert, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(fine_tune_module, "choose_device", lambda: Device("cpu", "test", precision))
    monkeypatch.setattr(fine_tune_module, "choose_threads", lambda: 1)
    rows = invented_tweets(300)
    rows = rows[rows["label"].notna()].assign(agreement=2 / 3).reset_index(drop=True)
    train, validation = rows.head(240), rows.tail(30)
    options = ["--preset", "bert", "--tweets", "t", "--batch-size", "16", "--epochs", "1", *options]
    config = build_config(
        arg_parser().parse_args([*options, "--learning-rate", "0.003", "--class-weight-power", "0.5"])
    )
    logged = []
    fine_tune(
        config,
        tiny_bert,
        train,
        validation,
        tmp_path / "state",
        lambda metrics, step: logged.append(metrics),
        log_every_steps=1,
    )
    steps = [metrics for metrics in logged if "train/objective" in metrics]
    expected = reference_history(config, tiny_bert, train, tmp_path / "reference", precision)
    assert len(steps) == len(expected) == 15
    for name, key in (
        ("train/objective", "loss"),
        ("train/gradient_norm", "grad_norm"),
        ("train/learning_rate", "learning_rate"),
    ):
        found = [step[name] for step in steps]
        assert found == pytest.approx([entry[key] for entry in expected], rel=tolerance), name
