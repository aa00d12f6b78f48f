"""Speed: the peak of the GPU, epochs of this loop and of transformers' Trainer, and a whole training."""

import json
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd
import torch
import transformers
from transformers import BertConfig, BertForSequenceClassification

from benchmarks.gpu.setup import (
    MODELS,
    VOCABULARY,
    Setup,
    clock,
    config_of,
    gigabytes,
    invented_tweets,
    write_checkpoint,
)
from contracts.mlflow_names import TRAIN_SECONDS
from training.fine_tuning import loop as loop_module
from training.fine_tuning.batches import NO_ROW, TokenisedTweets
from training.fine_tuning.device import choose_device, torch_device
from training.fine_tuning.fine_tune import fine_tune
from training.fine_tuning.loop import predict
from training.models.classifier import save_classifier

EPOCH_ROWS, WARM_UP_STEPS = 8000, 10
TRAINER_ROWS = {"train": 5476, "validation": 948, "eval": 1586}  # of Train.csv's 8,010


def operations(config: Any, lengths: list[int]) -> float:
    """Return the FLOP of one epoch without padding. A backward pass counts as two forward passes."""
    layer = 4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size
    return sum(
        3 * config.num_hidden_layers * (2 * layer * n + 4 * config.hidden_size * n * n) for n in lengths
    )


def peak(tiny: bool) -> dict[str, Any]:
    """Return the FLOP/s of a large bfloat16 product and the bandwidth of a copy."""
    target = torch_device(choose_device())
    size = 256 if tiny else 8192
    left, right = (torch.randn(size, size, device=target, dtype=torch.bfloat16) for _ in range(2))
    block = torch.randn(size * size * 8, device=target)
    seconds = []
    for work in (lambda: left @ right, lambda: block.clone()):
        for _ in range(5):
            work()
        began = clock()
        for _ in range(30):
            work()
        seconds.append((clock() - began) / 30)
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "versions": f"torch {torch.__version__}, transformers {transformers.__version__}",
        "bf16 TFLOP/s": round(2 * size**3 / seconds[0] / 1e12, 3),
        "copy TB/s": round(2 * block.numel() * 4 / seconds[1] / 1e12, 2),
    }


def speed(model: str, batch_size: int, tiny: bool) -> dict[str, Any]:
    """Return the time of an epoch with this loop in several settings, and with transformers' Trainer."""
    count = 128 if tiny else EPOCH_ROWS
    tweets, found = invented_tweets(count), dict[str, Any]()
    variants: list[tuple[str, int, dict[str, Any]]] = [
        ("bf16 weights", 8, {"bf16_weights": True}),
        ("autocast", 8, {}),
        ("bf16 weights, widths of 4", 4, {"bf16_weights": True}),
    ]
    if batch_size > 32:
        variants.append(("bf16 weights, widths of 2", 2, {"bf16_weights": True}))
    else:
        variants.append(("bf16 weights, R-Drop", 8, {"bf16_weights": True, "r_drop": 4.0}))
    for name, multiple, values in variants:
        found[name] = epoch_figures(Setup(model, tiny, tweets, multiple, batch_size=batch_size, **values))
        if name == "bf16 weights":
            found["stock Trainer"] = stock_trainer(model, tiny, tweets, batch_size)
        print(json.dumps(found), flush=True)  # kept if a later variant fails
    return found


def epoch_figures(setup: Setup) -> dict[str, Any]:
    """Return the figures of the median of three epochs."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    recorded, runs = setup.prepare(), [setup.run(batches) for batches in setup.epochs]
    figures = figures_of(sorted(seconds for seconds, _ in runs)[1], setup)
    widths = {setup.rows.width(batch) for epoch in setup.epochs for batch in epoch}
    padded = sum(setup.rows.width(batch) * len(batch) for batch in setup.epochs[0])
    return figures | {
        "epochs s": [round(seconds, 3) for seconds, _ in runs],
        "setup s": round(recorded, 2),
        "graphs": len(setup.step._graphs),
        "widths": len(widths),
        "padding": round(padded / sum(setup.rows.lengths) - 1, 3),
        "loss": [round(mean(part), 4) for part in (runs[0][1][:5], runs[-1][1][-5:])],
    }


def figures_of(seconds: float, setup: Setup) -> dict[str, Any]:
    needed = operations(setup.model.config, setup.rows.lengths)
    return {
        "epoch s": round(seconds, 3),
        "samples/s": round(len(setup.rows) / seconds),
        "TFLOP/s": round(needed / seconds / 1e12, 3),
        "GB": gigabytes(),
    }


def stock_trainer(model: str, tiny: bool, tweets: pd.DataFrame, batch_size: int) -> dict[str, Any]:
    """Return the time of an epoch of Trainer: bfloat16, fused AdamW, the same batches and widths."""
    setup = Setup(model, tiny, tweets, 8, batch_size=batch_size)
    encoded = setup.tokenizer(tweets["text"].tolist(), truncation=True)
    rows = [
        {"input_ids": ids, "attention_mask": mask, "labels": label + 1}
        for ids, mask, label in zip(
            encoded["input_ids"], encoded["attention_mask"], tweets["label"], strict=True
        )
    ]
    order = [row for batch in setup.epochs[0] for row in batch if row != NO_ROW]

    class SameBatches(transformers.Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return order

    def run(steps: int) -> tuple[float, float]:
        torch.manual_seed(0)
        classifier = BertForSequenceClassification(
            BertConfig(
                vocab_size=VOCABULARY,
                num_labels=3,  # type: ignore[call-arg]  # a keyword of the base class
                **MODELS["tiny" if tiny else model],
            )
        )
        with tempfile.TemporaryDirectory() as folder:
            arguments = transformers.TrainingArguments(
                folder,
                num_train_epochs=1,
                max_steps=steps,
                per_device_train_batch_size=batch_size,
                learning_rate=3e-5,
                bf16=True,
                use_cpu=not torch.cuda.is_available(),
                optim="adamw_torch_fused",
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
            )
            trainer = SameBatches(
                classifier,
                arguments,
                train_dataset=rows,
                data_collator=transformers.DataCollatorWithPadding(setup.tokenizer, pad_to_multiple_of=8),
            )
            began = clock()
            loss = trainer.train().training_loss
            return clock() - began, loss

    run(2 if tiny else WARM_UP_STEPS)
    seconds, loss = run(-1)
    return figures_of(seconds, setup) | {"mean loss": round(loss, 4)}


def whole_trainer(model: str, tiny: bool) -> dict[str, Any]:
    """Return the time of a whole training with evaluations, evaluation of the eval side, and saving."""
    counts = {name: count // 50 if tiny else count for name, count in TRAINER_ROWS.items()}
    parts = {name: invented_tweets(count, seed) for seed, (name, count) in enumerate(counts.items())}
    found = dict[str, Any]()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = write_checkpoint(Path(folder) / "checkpoint", model, tiny)
        for name, bf16_weights in (("seconds", False), ("seconds with bf16 weights", True)):
            config = config_of(model, epochs=3, patience=99, bf16_weights=bf16_weights)
            began = clock()
            tuned = fine_tune(
                config,
                checkpoint,
                parts["train"],
                parts["validation"],
                Path(folder) / name,
                log_every_steps=10,
            )
            trained = clock()
            device = choose_device()
            target = torch_device(device)
            rows = TokenisedTweets(parts["eval"], "votes", tuned.tokenizer, target, 8)
            tuned.model.to(target)  # type: ignore[arg-type]  # hidden by decorators
            logits = predict(tuned.model, rows, loop_module.EVAL_BATCH_SIZE[device.kind])
            accuracy = float((logits.argmax(dim=1).cpu().numpy() - 1 == parts["eval"]["label"]).mean())
            evaluated = clock()
            save_classifier(tuned.model.cpu(), tuned.tokenizer, Path(folder) / f"saved {name}")
            ended = clock()
            found[name] = round(ended - began, 2)
            found[f"parts of {name}"] = {
                "fine_tune": round(trained - began, 2),
                "of it steps and evaluations": round(tuned.metrics[TRAIN_SECONDS], 2),
                "eval side": round(evaluated - trained, 2),
                "save": round(ended - evaluated, 2),
                "steps": tuned.steps,
                "batch": config.batch_size,
                "R-Drop": config.r_drop,
                "eval accuracy": round(accuracy, 4),
                "validation losses": [round(loss, 4) for _, loss in tuned.curves["validation"]],
                "GB": gigabytes(),
            }
            print(json.dumps(found), flush=True)
    return found
