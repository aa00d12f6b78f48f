"""Progress of a training: log lines and losses. A task log cannot show a progress bar."""

import logging
import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

logger = logging.getLogger(__name__)

# The training objective (soft targets, class weights). The run's `validation_loss` is the cross entropy of
# the finished model.
TRAINING_LOSS = "validation_training_loss"
VALIDATION_METRICS = (TRAINING_LOSS, "validation_accuracy", "validation_macro_f1", "validation_rmse")


class ProgressLines(TrainerCallback):
    """Log progress and remaining time. Pass losses to `log_metrics` and collect them in `curves`."""

    def __init__(self, log_metrics: Callable[[dict[str, float], int], None], train_rows: int) -> None:
        self._log_metrics = log_metrics
        self._train_rows = train_rows
        self._began = 0.0
        self._first_step = 0
        self.curves: dict[str, list[tuple[float, float]]] = {"train": [], "validation": []}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._began = time.monotonic()
        self._first_step = state.global_step  # above 0 in a resumed training
        for entry in state.log_history:
            self._add_point(entry)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        if not logs or "loss" not in logs:  # the Trainer also logs a summary without a loss
            return
        seconds = time.monotonic() - self._began
        steps = state.global_step - self._first_step
        samples_per_second = steps / state.max_steps * args.num_train_epochs * self._train_rows / seconds
        logger.info(
            "step %d/%d  epoch %.2f/%g  loss %.4f  %.0f samples/s  %s left",
            state.global_step,
            state.max_steps,
            state.epoch,
            args.num_train_epochs,
            logs["loss"],
            samples_per_second,
            format_duration(seconds / steps * (state.max_steps - state.global_step)),
        )
        self._add_point(logs | {"step": state.global_step})
        names = {"loss": "train_loss", "learning_rate": "learning_rate", "grad_norm": "gradient_norm"}
        self._log_metrics(
            {name: float(logs[key]) for key, name in names.items() if key in logs}, state.global_step
        )

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Log the metrics of the validation part, which the Trainer names `eval_...`."""
        found = {
            name.replace("eval_", "validation_"): value
            for name, value in (metrics or {}).items()
            if name.startswith("eval_")
        }
        found[TRAINING_LOSS] = found.pop("validation_loss")
        named = {name: found[name] for name in VALIDATION_METRICS if name in found}
        logger.info(
            "step %d/%d  %s",
            state.global_step,
            state.max_steps,
            "  ".join(f"{name} {value:.4f}" for name, value in named.items()),
        )
        self._add_point({"eval_loss": found[TRAINING_LOSS], "step": state.global_step})
        self._log_metrics(named, state.global_step)

    def _add_point(self, entry: dict[str, float]) -> None:
        for name, key in (("train", "loss"), ("validation", "eval_loss")):
            if key in entry:
                self.curves[name].append((entry["step"], entry[key]))


def format_duration(seconds: float) -> str:
    """Return a duration as text with at most two units.

    >>> format_duration(7), format_duration(127), format_duration(7322)
    ('7 s', '2 min 07 s', '2 h 02 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
