"""Fine-tune one checkpoint on labelled tweets and select the best weights on the validation part.

This module does not depend on tables or MLflow, and does not see the eval side.
"""

import logging
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import transformers
from transformers import (
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedTokenizerBase,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from contracts.exit_status import InputError
from contracts.labels import LABEL_TO_CLASS_OFFSET
from onnx_model.classifier import softmax
from training.evaluation.metrics import classification_metrics
from training.fine_tuning.device import Device, choose_device, choose_threads
from training.fine_tuning.progress import ProgressLines
from training.fine_tuning.targets import class_weights
from training.fine_tuning.trainer import LengthBatchTrainer, Patience, TokenisedTweets
from training.models.classifier import Classifier, load_classifier, load_tokenizer
from training.models.presets import TrainingConfig

logger = logging.getLogger(__name__)

EVAL_BATCH_SIZE = (
    64  # larger than in training, because no gradients are stored; larger still is no faster on a CPU
)
EVALUATIONS_PER_EPOCH = 2
TENSOR_CORE_MULTIPLE = 8  # a GPU's tensor cores require matrix sides that are multiples of this


@dataclass(frozen=True)
class FineTuned:
    """The weights with the smallest validation loss, on the CPU.

    Attributes:
        model: the classifier.
        tokenizer: its tokenizer.
        metrics: duration and speed of the training.
        curves: (step, loss) on `train` and `validation`.
        steps: optimiser steps.
    """

    model: Classifier
    tokenizer: PreTrainedTokenizerBase
    metrics: dict[str, float]
    curves: dict[str, list[tuple[float, float]]]
    steps: int


def fine_tune(
    config: TrainingConfig,
    checkpoint: Path,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    folder: Path,
    log_metrics: Callable[[dict[str, float], int], None] = lambda metrics, step: None,
    *,
    log_every_steps: int = 50,
    callbacks: Sequence[TrainerCallback] = (),
) -> FineTuned:
    """Fine-tune a checkpoint.

    Args:
        config: hyperparameters.
        checkpoint: folder with the weights to start from.
        train: columns text, label, agreement and optionally a teacher's probabilities.
        validation: columns text, label and agreement, for early stopping and the choice of the weights.
        folder: checkpoints of the training. If it contains some, training resumes from the latest.
        log_metrics: called with metrics and step.
        log_every_steps: interval of progress lines and losses.
        callbacks: further callbacks of the Trainer.

    Raises:
        InputError: the checkpoint is not a text classifier, or the batch size is not divisible by the
            devices.
    """
    device = choose_device()
    torch.set_num_threads(choose_threads())
    transformers.logging.set_verbosity_error()  # hides 20 lines of warnings about the new classification head
    transformers.logging.disable_progress_bar()
    set_seed(config.seed)

    tokenizer = load_tokenizer(checkpoint, config)
    model = load_classifier(checkpoint, config, tokenizer)
    train_set = TokenisedTweets(train, config.targets, tokenizer)
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
        eval_dataset=TokenisedTweets(validation, config.targets, tokenizer),
        compute_metrics=lambda prediction: _validation_metrics(prediction, validation),
        callbacks=[progress, Patience(config.patience), *callbacks],
    )
    trainer.remove_callback(PrinterCallback)  # it would print the same numbers as dictionaries
    trained = trainer.train(resume_from_checkpoint=last_checkpoint(folder))

    seconds, steps = trained.metrics["train_runtime"], trainer.state.global_step
    metrics = {
        "train_runtime_seconds": seconds,
        "train_samples_per_second": steps * config.batch_size / seconds,
        "train_steps_per_second": steps / seconds,
        "train_mean_loss": trained.training_loss,
        "train_epochs": float(trainer.state.epoch or 0),
    }
    # Remove the Trainer's wrapper for mixed precision: the export computes in float32.
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False, keep_torch_compile=False)
    model.to("cpu").eval()
    return FineTuned(model, tokenizer, metrics, progress.curves, steps)


def last_checkpoint(folder: Path) -> str | None:
    """Return the latest complete checkpoint in a folder. The Trainer writes trainer_state.json last."""
    complete = [
        path.parent
        for path in folder.glob("checkpoint-*/trainer_state.json")
        if path.read_text().rstrip().endswith("}")
    ]
    latest = max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    if latest is None:
        return None
    logger.info("resuming an interrupted training from step %s", latest.name.rpartition("-")[2])
    return str(latest)


def _validation_metrics(prediction: EvalPrediction, validation: pd.DataFrame) -> dict[str, float]:
    class_ids = (validation["label"] + LABEL_TO_CLASS_OFFSET).to_numpy()
    metrics = classification_metrics(softmax(np.asarray(prediction.predictions, np.float64)), class_ids)
    return {name: metrics[name] for name in ("accuracy", "macro_f1", "rmse")}


def _training_arguments(
    config: TrainingConfig, train_rows: int, device: Device, folder: Path, log_every_steps: int
) -> TrainingArguments:
    processes = int(os.environ.get("WORLD_SIZE", "1"))  # set by torchrun: one process per device
    if config.batch_size % processes:
        raise InputError(
            f"a batch of {config.batch_size} rows cannot be divided among {processes} processes: "
            "set --batch-size"
        )
    steps_per_epoch = math.ceil(train_rows / config.batch_size)
    arguments = TrainingArguments(
        output_dir=str(folder),
        seed=config.seed,
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=config.warmup_share,  # a value below 1 is a share of all steps
        weight_decay=config.weight_decay,
        optim="adamw_torch_fused",
        label_smoothing_factor=config.label_smoothing,
        average_tokens_across_devices=False,  # it would multiply the loss, a mean over rows, by the devices
        per_device_train_batch_size=config.batch_size // processes,
        per_device_eval_batch_size=EVAL_BATCH_SIZE,
        bf16=device.precision == "bfloat16",
        fp16=device.precision == "float16",
        use_cpu=device.kind == "cpu",
        torch_compile=config.compile,
        ddp_backend="gloo" if processes > 1 and device.kind == "cpu" else None,
        logging_steps=log_every_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,  # it would synchronise with the GPU at each step
        eval_strategy="steps",
        eval_steps=math.ceil(steps_per_epoch / EVALUATIONS_PER_EPOCH),
        save_strategy="steps",
        save_steps=math.ceil(steps_per_epoch / EVALUATIONS_PER_EPOCH),
        save_total_limit=1,  # in addition to the best one
        restore_callback_states_from_checkpoint=True,  # the counter of Patience
        load_best_model_at_end=True,  # by validation loss
        label_names=["labels"],  # the Trainer cannot infer it from MeanPooledClassifier
        remove_unused_columns=False,
        report_to="none",  # metrics go to the tracker
        disable_tqdm=True,
        dataloader_num_workers=0,  # rows are lists in memory; a worker would only copy them
        dataloader_pin_memory=device.kind == "cuda",
    )
    # With several GPUs in one process the Trainer would use DataParallel. torchrun starts a process per GPU.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
