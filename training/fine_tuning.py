"""Fine-tunes one checkpoint on labelled tweets, watched on the validation part. Knows no table, no MLflow, and nothing of the eval side."""

import logging
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from torch.utils.data import Dataset
from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from training.batches import ShuffledLengthBatches
from training.errors import TrainingError
from training.labels import ID2LABEL, LABEL_TO_CLASS_OFFSET, PROBABILITIES
from training.machine import Device
from training.metrics import classification_metrics, softmax
from training.modelling import Classifier, load_classifier, load_tokenizer
from training.presets import TrainingConfig
from training.progress import ProgressLines

logger = logging.getLogger(__name__)

EVAL_BATCH_SIZE = 64  # no gradients are kept, so larger batches fit; on a CPU they are no faster
EVALUATIONS_PER_EPOCH = 2
TENSOR_CORE_MULTIPLE = 8  # matrices whose sides are multiples of it run on a GPU's tensor cores
LEAST_AGREEMENT = 1 / len(ID2LABEL)
TEACHER_SHARE = 0.5  # of what a row teaches that has a label and a teacher's probabilities


class TokenisedTweets(Dataset):
    """Rows as dictionaries with input_ids (unpadded, list of int), attention_mask and labels (list of 3 float: a share for each class)."""

    def __init__(
        self, rows: pd.DataFrame, class_shares: np.ndarray, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        self._encodings = tokenizer(rows["text"].tolist(), truncation=True)
        self._class_shares = class_shares.tolist()

    def __len__(self) -> int:
        return len(self._class_shares)

    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [len(ids) for ids in self._encodings["input_ids"]]

    def __getitem__(self, index: int) -> dict[str, list[int] | list[float]]:
        return {name: values[index] for name, values in self._encodings.items()} | {
            "labels": self._class_shares[index]
        }


class LengthBatchTrainer(Trainer):
    """The trainer with batches of like lengths in random order; its own sampler gives each epoch's batches from long to short."""

    def __init__(
        self, class_weights: list[float], global_batch_size: int, r_drop: float, **arguments: Any
    ) -> None:
        super().__init__(compute_loss_func=self._weighted_loss, **arguments)
        self._class_weights = torch.tensor(class_weights)
        self._global_batch_size = global_batch_size
        self._r_drop = r_drop

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The loss of a batch; in training with R-Drop that of two dropout passes over the batch, and their weighted divergence."""
        if not (self._r_drop and model.training):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        twice = {name: torch.cat([rows, rows]) for name, rows in inputs.items()}
        loss, outputs = super().compute_loss(model, twice, True, num_items_in_batch)
        loss = loss + self._r_drop / 2 * divergence(*outputs["logits"].float().chunk(2))
        return (loss, outputs) if return_outputs else loss

    def _weighted_loss(
        self, outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Mean over the rows of their cross entropy against (rows, 3) shares of the classes, each share weighing as its class does.

        It is divided by the rows and not by their weights, so that a batch over several devices is the mean of its parts.
        """
        logits = outputs["logits"].float()
        row_weights = (labels * self._class_weights.to(logits.device)).sum(dim=1)
        smoothing = self.args.label_smoothing_factor
        losses = torch.nn.functional.cross_entropy(
            logits, labels, reduction="none", label_smoothing=smoothing
        )
        return (losses * row_weights).mean()

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> ShuffledLengthBatches:
        rows = train_dataset if train_dataset is not None else self.train_dataset
        assert isinstance(rows, TokenisedTweets)
        return ShuffledLengthBatches(rows.lengths(), self._global_batch_size, self.args.seed)


def divergence(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Symmetric Kullback-Leibler divergence between the (rows, 3) logits of two passes: the mean of both directions, and over the rows."""
    first, second = first.log_softmax(dim=1), second.log_softmax(dim=1)
    kl_div = partial(torch.nn.functional.kl_div, reduction="batchmean", log_target=True)
    return (kl_div(first, second) + kl_div(second, first)) / 2


class Patience(EarlyStoppingCallback):
    """Ends training when the validation loss has not fallen for a while; a training that is gone on with remembers how long that is."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Do not go on with a training that had ended, and whose process died afterwards."""
        super().on_train_begin(args, state, control, **kwargs)
        control.should_training_stop = self.early_stopping_patience_counter >= self.early_stopping_patience


@dataclass(frozen=True)
class FineTuned:
    """The weights with the smallest loss on the validation part, on the CPU."""

    model: Classifier
    tokenizer: PreTrainedTokenizerBase
    metrics: dict[str, float]  # how long training took and how fast it was
    curves: dict[str, list[tuple[float, float]]]  # (step, loss) on train and validation
    steps: int


def fine_tune(
    config: TrainingConfig,
    checkpoint: Path,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    device: Device,
    threads: int,
    folder: Path,
    log_every_steps: int,
    log_metrics: Callable[[dict[str, float], int], None],
    callbacks: Sequence[TrainerCallback] = (),
) -> FineTuned:
    """Train on `train`, stop and choose by `validation` (columns text, label, agreement; of `train` also those of a teacher).

    `folder` keeps the state of the training: where it has some, training goes on from there.

    Raises:
        TrainingError: the checkpoint cannot be loaded as a text classifier, or the batch cannot be shared out to the devices.
    """
    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()  # a new classification head is expected, not a warning of twenty lines
    transformers.logging.disable_progress_bar()
    set_seed(config.seed)

    tokenizer = load_tokenizer(checkpoint, config)
    model = load_classifier(checkpoint, config, tokenizer)
    train_set = TokenisedTweets(train, class_shares(train, config.targets), tokenizer)
    validation_set = TokenisedTweets(validation, class_shares(validation, config.targets), tokenizer)
    progress = ProgressLines(log_metrics, len(train_set))
    trainer = LengthBatchTrainer(
        class_weights=class_weights(train, config.targets, config.class_weight_power),
        global_batch_size=config.batch_size,
        r_drop=config.r_drop,
        model=model,
        args=_training_arguments(config, len(train_set), device, folder, log_every_steps),
        data_collator=DataCollatorWithPadding(
            tokenizer, pad_to_multiple_of=TENSOR_CORE_MULTIPLE if device.kind == "cuda" else None
        ),
        train_dataset=train_set,
        eval_dataset=validation_set,
        compute_metrics=lambda prediction: _validation_metrics(prediction, validation),
        callbacks=[progress, Patience(config.patience), *callbacks],
    )
    trainer.remove_callback(PrinterCallback)  # prints the same numbers as dictionaries
    trained = trainer.train(resume_from_checkpoint=last_checkpoint(folder))

    seconds, steps = trained.metrics["train_runtime"], trainer.state.global_step
    metrics = {
        "train_runtime_seconds": seconds,
        "train_samples_per_second": steps * config.batch_size / seconds,
        "train_steps_per_second": steps / seconds,
        "train_mean_loss": trained.training_loss,
        "train_epochs": float(trainer.state.epoch or 0),
    }
    # The trainer has wrapped the model's forward for mixed precision; what is exported computes in float32.
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False, keep_torch_compile=False)
    model.to("cpu").eval()
    return FineTuned(model, tokenizer, metrics, progress.curves, steps)


def class_shares(rows: pd.DataFrame, targets: str) -> np.ndarray:
    """(rows, 3) shares of the classes in what each row teaches, from its columns label and agreement, and those of a teacher if it has them.

    With `targets` "label" the label has all; with "votes" it has its agreement and the others the rest in equal parts. Three annotators of
    whom each gave another label (agreement 1/3) then teach nothing, whatever label the tie-break has given the tweet. A smaller agreement
    counts as 1/3: it would otherwise teach that the label is wrong.

    A teacher's probabilities are TEACHER_SHARE of what a labelled row teaches, and all of what an unlabelled one does.
    """
    labelled = rows["label"].notna().to_numpy()
    own = rows["agreement"].clip(LEAST_AGREEMENT, 1).to_numpy() if targets == "votes" else np.ones(len(rows))
    shares = np.repeat(((1 - own) / (len(ID2LABEL) - 1))[:, np.newaxis], len(ID2LABEL), axis=1)
    shares[labelled, rows["label"][labelled].astype(int) + LABEL_TO_CLASS_OFFSET] = own[labelled]
    if set(PROBABILITIES) <= set(rows.columns):
        taught = rows[PROBABILITIES].to_numpy(dtype=float)
        weight = np.where(np.isnan(taught[:, 0]), 0.0, np.where(labelled, TEACHER_SHARE, 1.0))[:, np.newaxis]
        shares = (1 - weight) * shares + weight * np.nan_to_num(taught)
    return shares.astype(np.float32)


def class_weights(rows: pd.DataFrame, targets: str, power: float) -> list[float]:
    """The weight of each class id: the mean class size over its own to the power, scaled so that rows weigh 1 on average.

    Of 100 real tweets 10 are negative: with equal weights two epochs teach a small model to hardly ever say so.
    """
    counts = np.bincount(rows["label"].dropna().astype(int) + LABEL_TO_CLASS_OFFSET, minlength=len(ID2LABEL))
    weights = (counts.mean() / counts) ** power
    return (weights / (class_shares(rows, targets) @ weights).mean()).tolist()


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint in `folder`: the trainer writes its state last, under its own name."""
    whole = [
        path.parent
        for path in folder.glob("checkpoint-*/trainer_state.json")
        if path.read_text().rstrip().endswith("}")
    ]
    newest = max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    if newest is not None:
        logger.info("going on from step %s of a training that was ended", newest.name.rpartition("-")[2])
    return None if newest is None else str(newest)


def _validation_metrics(prediction: EvalPrediction, validation: pd.DataFrame) -> dict[str, float]:
    class_ids = (validation["label"] + LABEL_TO_CLASS_OFFSET).to_numpy()
    metrics = classification_metrics(softmax(np.asarray(prediction.predictions)), class_ids)
    return {name: metrics[name] for name in ("accuracy", "macro_f1", "rmse")}


def _training_arguments(
    config: TrainingConfig, train_rows: int, device: Device, folder: Path, log_every_steps: int
) -> TrainingArguments:
    processes = int(os.environ.get("WORLD_SIZE", "1"))  # set by torchrun: one process for each device
    if config.batch_size % processes:
        raise TrainingError(
            f"a batch of {config.batch_size} rows cannot be shared out to {processes} processes: give --batch-size"
        )
    steps_per_epoch = math.ceil(train_rows / config.batch_size)
    arguments = TrainingArguments(
        output_dir=str(folder),
        seed=config.seed,
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=config.warmup_share,  # below 1 it is a share of all steps
        weight_decay=config.weight_decay,
        optim="adamw_torch_fused",
        label_smoothing_factor=config.label_smoothing,
        average_tokens_across_devices=False,  # it would multiply our loss, which is a mean over rows, by the number of devices
        per_device_train_batch_size=config.batch_size // processes,
        per_device_eval_batch_size=EVAL_BATCH_SIZE,
        bf16=device.precision == "bfloat16",
        fp16=device.precision == "float16",
        use_cpu=device.kind == "cpu",
        torch_compile=config.compile,
        ddp_backend="gloo" if processes > 1 and device.kind == "cpu" else None,
        logging_steps=log_every_steps,
        logging_first_step=True,  # soon a sign of life
        logging_nan_inf_filter=False,  # it would wait for the GPU at each step
        eval_strategy="steps",
        eval_steps=math.ceil(steps_per_epoch / EVALUATIONS_PER_EPOCH),
        save_strategy="steps",
        save_steps=math.ceil(steps_per_epoch / EVALUATIONS_PER_EPOCH),
        save_total_limit=1,  # and the best one
        restore_callback_states_from_checkpoint=True,  # of patience
        load_best_model_at_end=True,  # by the loss on the validation part
        label_names=["labels"],  # the trainer guesses them from the class of a model it knows
        remove_unused_columns=False,
        report_to="none",  # our own tracker: the trainer's would start runs and name metrics its way
        disable_tqdm=True,
        dataloader_num_workers=0,  # rows are lists in memory; a worker would only copy them
        dataloader_pin_memory=device.kind == "cuda",
    )
    arguments._n_gpu = min(
        arguments.n_gpu, 1
    )  # several in one process would silently become DataParallel; torchrun uses them all
    return arguments
