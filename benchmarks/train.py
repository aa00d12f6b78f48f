"""Speed of the trainer, of transformers' Trainer, and of the settings of the source study.

    python -m benchmarks.train --rows 512

- ours: training/fine_tuning with the preset minilm (batches of similar length, the device's precision, frozen
  word embeddings, checkpoints, two evaluations), without R-Drop as in the others, and with the R-Drop of the
  preset;
- stock: transformers' Trainer with its defaults and dynamic padding, with the same batch size;
- study: float32, every text padded to 512 tokens, batches of 8.

Texts are invented and have the lengths of real tweets. The variants take turns, `--repeats` times each, so
that changes of the load affect all of them. The best speed of each is printed as Markdown.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch.utils.data import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

from contracts.mlflow_names import TRAIN_SAMPLES_PER_SECOND
from deploy.common.sample_dump import invent_text
from training.fine_tuning.device import choose_device, choose_threads
from training.fine_tuning.fine_tune import fine_tune
from training.models.checkpoints import resolve_checkpoint
from training.models.presets import TRANSFORMERS, TrainingConfig
from training.options import arg_parser as training_options
from training.options import build_config

STUDY_ROWS = 40  # five batches; a row takes seconds
STUDY_TOKENS = 512


class Rows(Dataset):
    """Encoded texts and their classes for transformers' Trainer."""

    def __init__(self, rows: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, **padding: object) -> None:
        self._encodings = tokenizer(rows["text"].tolist(), truncation=True, **padding)
        self._classes = (rows["label"] + 1).tolist()

    def __len__(self) -> int:
        return len(self._classes)

    def __getitem__(self, index: int) -> dict[str, object]:
        return {name: values[index] for name, values in self._encodings.items()} | {
            "labels": self._classes[index]
        }


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure samples/s of variants of fine-tuning minilm.")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=2)
    return parser


def ours(rows: pd.DataFrame, checkpoint: Path, r_drop: float) -> float:
    """Return samples/s of this project's trainer."""
    config = build_config(training_options().parse_args(["--preset", "minilm", "--tweets", "none"]))
    assert isinstance(config, TrainingConfig)
    with tempfile.TemporaryDirectory() as state:
        config = replace(config, epochs=1, r_drop=r_drop)
        tuned = fine_tune(config, checkpoint, rows, rows.head(32), Path(state), log_every_steps=1000)
    return tuned.metrics[TRAIN_SAMPLES_PER_SECOND]


def stock(rows: pd.DataFrame, checkpoint: Path, batch_size: int, **padding: object) -> float:
    """Return samples/s of transformers' Trainer."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=3)
    torch.set_num_threads(choose_threads())
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=batch_size,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=choose_device().kind == "cpu",
        )
        dataset = Rows(rows, tokenizer, **padding)
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=dataset,
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        began = time.monotonic()
        trainer.train()
    return len(rows) / (time.monotonic() - began)


def main() -> None:
    arguments = arg_parser().parse_args()
    draw = random.Random(1)  # noqa: S311 (no secret)
    labels = [draw.choice([-1, 0, 1]) for _ in range(arguments.rows)]
    rows = pd.DataFrame(
        {"text": [invent_text(draw, label) for label in labels], "label": labels, "agreement": 1.0}
    )
    checkpoint = resolve_checkpoint(TRANSFORMERS["minilm"].checkpoint)
    variants: dict[str, Callable[[], float]] = {
        "ours": lambda: ours(rows, checkpoint, 0.0),
        "ours with R-Drop": lambda: ours(rows, checkpoint, TRANSFORMERS["minilm"].r_drop),
        "stock": lambda: stock(rows, checkpoint, TRANSFORMERS["minilm"].batch_size),
        "study": lambda: stock(
            rows.head(STUDY_ROWS), checkpoint, 8, padding="max_length", max_length=STUDY_TOKENS
        ),
    }
    speeds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(arguments.repeats):
        for name, measure in variants.items():
            speeds[name].append(measure())
    best = {name: max(found) for name, found in speeds.items()}
    print("| variant | samples/s | speed of ours relative to it |\n|---|---|---|")
    for name, speed in best.items():
        print(f"| {name} | {speed:.1f} | {best['ours'] / speed:.1f} |")


if __name__ == "__main__":
    main()
