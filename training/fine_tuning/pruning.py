"""Prune a trial that is worse than the median of the others at the same part of the training."""

import math

import optuna

from training.fine_tuning.loop import Evaluation

QUARTERS = 4


class PruneByObjective:
    """Report the smallest objective of the validation part so far, after each quarter of the training.

    The learning rate depends on the share of completed steps. Reporting by quarters compares trials of two
    and of six epochs at about the same learning rate. A trial that has already stopped is not pruned, which
    would save no time.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial
        self._quarters = 0
        self._smallest_objective = math.inf

    def __call__(self, evaluation: Evaluation) -> None:
        """Raise TrialPruned if the study decides to prune the trial."""
        self._smallest_objective = min(self._smallest_objective, evaluation.objective)
        quarters = QUARTERS * evaluation.step // evaluation.max_steps
        if quarters == self._quarters:
            return
        self._quarters = quarters
        self._trial.report(self._smallest_objective, quarters)
        if not evaluation.stops and self._trial.should_prune():
            raise optuna.TrialPruned
