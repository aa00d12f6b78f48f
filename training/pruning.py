"""Ends a trial that is worse than half of the others in the same part of its training."""

from typing import Any

import optuna
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

QUARTERS = 4


class PruneByValidationLoss(TrainerCallback):
    """Tells the study the loss on the validation part at the first evaluation in or after each quarter of a training.

    The learning rate falls with the share of the steps that are done. So trials of two and of six epochs are compared where they have come
    equally far, and not one that is at its largest rate with one that is nearly finished.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial
        self._quarters = 0

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Raise TrialPruned when the study says so."""
        quarters = QUARTERS * state.global_step // state.max_steps
        if quarters == self._quarters:
            return
        self._quarters = quarters
        self._trial.report(kwargs["metrics"]["eval_loss"], quarters)
        if self._trial.should_prune():
            raise optuna.TrialPruned
