"""Ends a trial that is worse than half of the others at the same time."""

from typing import Any

import optuna
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class PruneByValidationLoss(TrainerCallback):
    """Tells the study the loss of each evaluation on the validation part."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial
        self._evaluations = 0

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Raise TrialPruned when the study says so."""
        self._trial.report(kwargs["metrics"]["eval_loss"], self._evaluations)
        self._evaluations += 1
        if self._trial.should_prune():
            raise optuna.TrialPruned
