"""Fine-tunes one checkpoint on labelled tweets and evaluates it on the held-out side. Knows no table and no MLflow."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from torch.utils.data import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)

from training.batches import ShuffledLengthBatches
from training.errors import TrainingError
from training.labels import ID2LABEL, LABEL2ID, LABEL_TO_CLASS_OFFSET
from training.machine import Device
from training.metrics import classification_metrics, softmax
from training.presets import TrainingConfig
from training.progress import ProgressLines

logger = logging.getLogger(__name__)

# Evaluation keeps no gradients, so larger batches fit; on a CPU they are no faster.
EVAL_BATCH_SIZE = 64


class TokenisedTweets(Dataset):
    """Rows as dictionaries with input_ids (unpadded, list of int), attention_mask and labels (list of 3 float: a share for each class)."""

    def __init__(self, rows: pd.DataFrame, class_shares: np.ndarray, tokenizer: PreTrainedTokenizerBase, max_length_tokens: int) -> None:
        self._encodings = tokenizer(rows["text"].tolist(), truncation=True, max_length=max_length_tokens)
        self._class_shares = class_shares.tolist()

    def __len__(self) -> int:
        return len(self._class_shares)

    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [len(ids) for ids in self._encodings["input_ids"]]

    def __getitem__(self, index: int) -> dict[str, list[int] | list[float]]:
        return {name: values[index] for name, values in self._encodings.items()} | {"labels": self._class_shares[index]}


class LengthBatchTrainer(Trainer):
    """The trainer with batches of like lengths in random order; its own sampler gives each epoch's batches from long to short."""

    def __init__(self, class_weights: list[float], **arguments: Any) -> None:
        super().__init__(compute_loss_func=self._weighted_loss, **arguments)
        self._class_weights = torch.tensor(class_weights)

    def _weighted_loss(self, outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        """Mean cross entropy over a batch against (rows, 3) shares of the classes, each share weighing as its class does."""
        logits = outputs["logits"].float()
        weighted = labels * self._class_weights.to(logits.device)
        smoothing = self.args.label_smoothing_factor
        losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
        row_weights = weighted.sum(dim=1)
        return (losses * row_weights).sum() / row_weights.sum()

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> ShuffledLengthBatches:
        rows = train_dataset if train_dataset is not None else self.train_dataset
        assert isinstance(rows, TokenisedTweets)
        return ShuffledLengthBatches(rows.lengths(), self.args.train_batch_size, self.args.seed)


@dataclass(frozen=True)
class FineTuned:
    """A trained model with what the held-out side says about it."""

    model: transformers.PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    metrics: dict[str, float]
    probabilities: np.ndarray  # (eval rows, 3)
    class_ids: np.ndarray  # (eval rows,) true classes, in the same order
    steps: int


def fine_tune(
    config: TrainingConfig,
    checkpoint: Path,
    train: pd.DataFrame,
    held_out: pd.DataFrame,
    device: Device,
    threads: int,
    scratch: Path,
    log_every_steps: int,
    log_metrics: Callable[[dict[str, float], int], None],
) -> FineTuned:
    """Train on `train`, judge on `held_out` (columns text, label); `scratch` is the trainer's own folder.

    Raises:
        TrainingError: the checkpoint cannot be loaded as a text classifier.
    """
    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()  # a new classification head is expected, not a warning of twenty lines
    transformers.logging.disable_progress_bar()
    set_seed(config.seed)

    tokenizer, model = _load(checkpoint)
    train_set = TokenisedTweets(train, class_shares(train, config.targets), tokenizer, config.max_length_tokens)
    eval_set = TokenisedTweets(held_out, class_shares(held_out, "label"), tokenizer, config.max_length_tokens)

    trainer = LengthBatchTrainer(
        class_weights=class_weights(train["label"], config.class_weight_power),
        model=model,
        args=_training_arguments(config, len(train_set), device, scratch, log_every_steps),
        data_collator=DataCollatorWithPadding(tokenizer),
        train_dataset=train_set,
        processing_class=tokenizer,
        callbacks=[ProgressLines(log_metrics, len(train_set))],
    )
    trainer.remove_callback(PrinterCallback)  # prints the same numbers as dictionaries

    trained = trainer.train()
    prediction = trainer.predict(eval_set, metric_key_prefix="eval")

    probabilities = softmax(np.asarray(prediction.predictions))
    class_ids = (held_out["label"] + LABEL_TO_CLASS_OFFSET).to_numpy()
    timings = prediction.metrics or {}
    metrics = {
        "train_runtime_seconds": trained.metrics["train_runtime"],
        "train_samples_per_second": trained.metrics["train_samples_per_second"],
        "train_mean_loss": trained.training_loss,
        "eval_runtime_seconds": timings["eval_runtime"],
        "eval_samples_per_second": timings["eval_samples_per_second"],
    } | {f"eval_{name}": value for name, value in classification_metrics(probabilities, class_ids).items()}
    return FineTuned(model, tokenizer, metrics, probabilities, class_ids, trained.global_step)


def class_shares(rows: pd.DataFrame, targets: str) -> np.ndarray:
    """(rows, 3) shares of the classes in what each row teaches, from its columns label and agreement.

    With `targets` "label" the label has all; with "votes" it has its agreement and the others the rest in equal parts. Three annotators of
    whom each gave another label (agreement 1/3) then teach nothing, whatever label the tie-break has given the tweet.
    """
    own = rows["agreement"].to_numpy() if targets == "votes" else np.ones(len(rows))
    shares = np.repeat(((1 - own) / (len(ID2LABEL) - 1))[:, np.newaxis], len(ID2LABEL), axis=1)
    shares[np.arange(len(rows)), rows["label"] + LABEL_TO_CLASS_OFFSET] = own
    return shares.astype(np.float32)


def class_weights(labels: pd.Series, power: float) -> list[float]:
    """The weight of each class id, for rows with `labels` (-1, 0, 1); 1 for a class as large as the classes are on average.

    Of 100 real tweets 10 are negative: with equal weights two epochs teach a small model to hardly ever say so.
    """
    counts = np.bincount(labels + LABEL_TO_CLASS_OFFSET, minlength=len(ID2LABEL))
    return ((counts.mean() / counts) ** power).tolist()


def classifier_of(tuned: FineTuned) -> transformers.Pipeline:
    """The model as a text-classification pipeline on the CPU, ready to be saved."""
    tuned.model.to("cpu").eval()  # type: ignore[arg-type]  # a decorator hides that a device is an argument
    return transformers.TextClassificationPipeline(
        model=tuned.model,
        tokenizer=tuned.tokenizer,
        task="text-classification",  # not set by the class itself; MLflow saves it and needs it to load the model
    )


def _load(checkpoint: Path) -> tuple[PreTrainedTokenizerBase, transformers.PreTrainedModel]:
    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
        model = AutoModelForSequenceClassification.from_pretrained(
            checkpoint,
            id2label=ID2LABEL,
            label2id=LABEL2ID,
            local_files_only=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # a checkpoint with another number of classes gets a new head
        )
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{checkpoint} cannot be loaded as a text classifier: {str(error).splitlines()[0]}") from error
    return tokenizer, model


def _training_arguments(config: TrainingConfig, train_rows: int, device: Device, scratch: Path, log_every_steps: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(scratch),
        seed=config.seed,
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=config.warmup_share,  # below 1 it is a share of all steps
        weight_decay=config.weight_decay,
        label_smoothing_factor=config.label_smoothing,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=EVAL_BATCH_SIZE,
        bf16=device.precision == "bfloat16",
        fp16=device.precision == "float16",
        use_cpu=device.kind == "cpu",
        logging_steps=log_every_steps,
        logging_first_step=True,  # soon a sign of life
        save_strategy="no",
        report_to="none",  # our own tracker: the trainer's would start runs and name metrics its way
        disable_tqdm=True,
        dataloader_num_workers=0,  # rows are lists in memory; a worker would only copy them
        dataloader_pin_memory=device.kind == "cuda",
    )
