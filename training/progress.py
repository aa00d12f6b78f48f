"""One line in the log each N steps: a task log has no terminal for a progress bar."""

import logging
import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

logger = logging.getLogger(__name__)


class ProgressLines(TrainerCallback):
    """Writes step, epoch, loss, samples/s and the time left; hands losses to `log_metrics(metrics, step)`."""

    def __init__(self, log_metrics: Callable[[dict[str, float], int], None], train_rows: int) -> None:
        self._log_metrics = log_metrics
        self._train_rows = train_rows
        self._began = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._began = time.monotonic()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        if not logs or "loss" not in logs:  # the trainer also logs its own summary
            return
        seconds = time.monotonic() - self._began
        samples_per_second = (state.epoch or 0.0) * self._train_rows / seconds
        logger.info(
            "step %d/%d  epoch %.2f/%g  loss %.4f  %.0f samples/s  %s left",
            state.global_step,
            state.max_steps,
            state.epoch,
            args.num_train_epochs,
            logs["loss"],
            samples_per_second,
            format_duration(seconds / state.global_step * (state.max_steps - state.global_step)),
        )
        names = {"loss": "train_loss", "learning_rate": "learning_rate", "grad_norm": "gradient_norm"}
        self._log_metrics({name: float(logs[key]) for key, name in names.items() if key in logs}, state.global_step)


def format_duration(seconds: float) -> str:
    """Hours, minutes and seconds as a person says them.

    >>> format_duration(7), format_duration(127), format_duration(7322)
    ('7 s', '2 min 07 s', '2 h 02 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
