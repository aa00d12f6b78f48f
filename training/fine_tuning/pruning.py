"""Prune a trial that is worse than the median of the others at the same part of the training."""

import math
from typing import Any

import optuna
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

QUARTERS = 4


class PruneByValidationLoss(TrainerCallback):
    """Report the smallest validation loss so far, at the first evaluation after each quarter of the training.

    The learning rate depends on the share of completed steps. Reporting by quarters compares trials of two
    and of six epochs at about the same learning rate. A trial that has already stopped is not pruned, which
    would save no time.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial
        self._quarters = 0
        self._smallest_loss = math.inf

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Raise TrialPruned if the study decides to prune the trial."""
        self._smallest_loss = min(self._smallest_loss, kwargs["metrics"]["eval_loss"])
        quarters = QUARTERS * state.global_step // state.max_steps
        if quarters == self._quarters:
            return
        self._quarters = quarters
        self._trial.report(self._smallest_loss, quarters)
        if not control.should_training_stop and self._trial.should_prune():
            raise optuna.TrialPruned
