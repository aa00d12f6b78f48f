"""Ends a trial that is worse than half of the others in the same part of its training."""

import math
from typing import Any

import optuna
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

QUARTERS = 4


class PruneByValidationLoss(TrainerCallback):
    """Tells the study the smallest loss on the validation part so far, at the first evaluation after each quarter of a training.

    The learning rate falls with the share of the steps that are done. So trials of two and of six epochs are compared at about the same share,
    and not one that is at its largest rate with one that is nearly finished. A trial that has ended is not pruned: nothing would be saved.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial
        self._quarters = 0
        self._smallest_loss = math.inf

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Raise TrialPruned when the study says so."""
        self._smallest_loss = min(self._smallest_loss, kwargs["metrics"]["eval_loss"])
        quarters = QUARTERS * state.global_step // state.max_steps
        if quarters == self._quarters:
            return
        self._quarters = quarters
        self._trial.report(self._smallest_loss, quarters)
        if not control.should_training_stop and self._trial.should_prune():
            raise optuna.TrialPruned
