"""Fine-tune one checkpoint on labelled tweets and select the best weights on the validation part.

This module does not depend on tables or MLflow, and does not see the eval side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.distributed
import transformers
from transformers import PreTrainedTokenizerBase

from contracts.labels import LABEL_TO_CLASS_OFFSET
from contracts.mlflow_names import TRAIN_SAMPLES_PER_SECOND, TRAIN_SECONDS, TRAIN_STEPS_PER_SECOND
from onnx_model.classifier import softmax
from training.evaluation.metrics import classification_metrics
from training.fine_tuning.batches import TokenisedTweets
from training.fine_tuning.device import choose_device, choose_threads, processes, torch_device
from training.fine_tuning.loop import EVAL_BATCH_SIZE, Evaluation, learning_rates, objective, predict, train
from training.fine_tuning.progress import Progress
from training.fine_tuning.step import TrainingStep
from training.fine_tuning.targets import class_weights
from training.models.classifier import Classifier, load_classifier, load_tokenizer, torch_probabilities
from training.models.presets import TrainingConfig

# A graph has a fixed width. A smaller multiple needs more graphs, a larger one more padding.
WIDTH_MULTIPLE = {"cpu": 1, "cuda": 8, "mps": 1}


@dataclass(frozen=True)
class FineTuned:
    """The weights with the smallest objective on the validation part, on the CPU.

    Attributes:
        model: the classifier.
        tokenizer: its tokenizer.
        metrics: duration and speed of the training.
        curves: (step, loss) on `train` and `validation`. The loss is the cross entropy against the labels.
        best_objective: smallest objective on the validation part.
        steps: optimiser steps.
    """

    model: Classifier
    tokenizer: PreTrainedTokenizerBase
    metrics: dict[str, float]
    curves: dict[str, list[tuple[float, float]]]
    best_objective: float
    steps: int

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return (texts, 3) probabilities of LABELS."""
        return torch_probabilities(self.model, self.tokenizer, texts)


def fine_tune(
    config: TrainingConfig,
    checkpoint: Path,
    training_rows: pd.DataFrame,
    validation: pd.DataFrame,
    folder: Path,
    log_metrics: Callable[[dict[str, float], int], None] = lambda metrics, step: None,
    *,
    log_every_steps: int = 50,
    validate_every_steps: int | None = None,
    on_evaluation: Callable[[Evaluation], None] = lambda evaluation: None,
) -> FineTuned:
    """Fine-tune the checkpoint in a folder.

    Args:
        config: hyperparameters. The batch size must be divisible by the number of processes.
        checkpoint: folder with the weights to start from.
        training_rows: columns text, label, agreement and optionally a teacher's probabilities.
        validation: columns text, label and agreement, for early stopping and the choice of the weights.
        folder: state of the training. If it contains one, training resumes from it.
        log_metrics: called with metrics and step.
        log_every_steps: interval of progress lines and losses.
        validate_every_steps: interval of additional evaluations on the validation part. They do not influence
            the training.
        on_evaluation: called after each evaluation on the validation part.

    Raises:
        InputError: the checkpoint is not a text classifier.
    """
    device = choose_device()
    target = torch_device(device)
    torch.set_num_threads(choose_threads())
    transformers.logging.set_verbosity_error()  # hides 20 lines of warnings about the new classification head
    transformers.logging.disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)  # of the new classification head

    tokenizer = load_tokenizer(checkpoint, config)
    model = load_classifier(checkpoint, config, tokenizer)
    model.to(target)  # type: ignore[arg-type]  # hidden by decorators
    rows, held_out = (
        TokenisedTweets(part, config.targets, tokenizer, target, WIDTH_MULTIPLE[device.kind])
        for part in (training_rows, validation)
    )
    weights = class_weights(training_rows, config.targets, config.class_weight_power)
    class_ids = (validation["label"] + LABEL_TO_CLASS_OFFSET).to_numpy()
    rates = learning_rates(config, len(rows))
    progress = Progress(log_metrics, rates, config.epochs, len(rows), log_every_steps, target)

    def evaluate() -> tuple[float, dict[str, float]]:
        logits = predict(model, held_out, EVAL_BATCH_SIZE[device.kind])
        found = classification_metrics(softmax(logits.cpu().numpy().astype(np.float64)), class_ids)
        minimised = objective(logits, held_out, weights)
        return minimised, {name: found[name] for name in ("loss", "accuracy", "macro_f1", "rmse")}

    if processes() > 1:
        if device.kind == "cuda":
            torch.cuda.set_device(target)
        torch.distributed.init_process_group("nccl" if device.kind == "cuda" else "gloo")
    try:
        step = TrainingStep(model, rows, config, weights, device)
        position = train(
            step, rows, progress, evaluate, config, rates, folder, on_evaluation, validate_every_steps
        )
    finally:
        if processes() > 1:
            torch.distributed.destroy_process_group()

    metrics = {
        TRAIN_SECONDS: position.seconds,
        TRAIN_SAMPLES_PER_SECOND: position.step * config.batch_size / position.seconds,
        TRAIN_STEPS_PER_SECOND: position.step / position.seconds,
        "train/mean_loss": progress.figures[1, : position.step].nanmean().item(),
        "train/epochs": position.step / len(rates) * config.epochs,
    }
    model.zero_grad(set_to_none=True)
    model.cpu().eval()
    return FineTuned(model, tokenizer, metrics, progress.curves, position.best_objective, position.step)
