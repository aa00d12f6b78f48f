"""Progress of a training: log lines, metrics and curves. A task log cannot show a progress bar."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

logger = logging.getLogger(__name__)

# Reading a loss waits for the GPU.
READ_SECONDS = 1.0
# The training objective (soft targets, class weights). The run's `validation_loss` is the cross entropy of
# the finished model.
TRAINING_LOSS = "validation_training_loss"


class Progress:
    """The losses of a training.

    The losses stay on the device. They are read at most once a second, at evaluations and at the end, and
    then logged for each interval of `log_every_steps` steps and for the first step.

    Attributes:
        losses: (steps,) training losses, on the device.
        curves: (step, loss) on `train` and `validation`.
    """

    def __init__(
        self,
        log_metrics: Callable[[dict[str, float], int], None],
        rates: list[float],
        epochs: float,
        train_rows: int,
        log_every_steps: int,
        device: torch.device,
    ) -> None:
        self._log_metrics = log_metrics
        self._rates, self._epochs, self._train_rows = rates, epochs, train_rows
        self._log_every_steps = log_every_steps
        self._began = self._read = time.monotonic()
        self._first_step = self._reported = 0
        self.losses, self.gradient_norms = torch.zeros(2, len(rates), device=device).unbind()
        self.curves: dict[str, list[tuple[float, float]]] = {"train": [], "validation": []}

    def state(self, step: int) -> dict[str, Any]:
        """Return the figures of the first `step` steps."""
        return {
            "losses": self.losses[:step].cpu(),
            "gradient_norms": self.gradient_norms[:step].cpu(),
            "reported": self._reported,
            "curves": self.curves,
        }

    def load_state(self, step: int, state: Mapping[str, Any]) -> None:
        """Continue after `step` steps of an interrupted training."""
        self.losses[:step], self.gradient_norms[:step] = state["losses"], state["gradient_norms"]
        self._reported, self.curves = state["reported"], state["curves"]
        self._first_step = step

    def add_step(self, step: int, loss: torch.Tensor, gradient_norm: torch.Tensor) -> None:
        """Record the figures of a step, counted from 1."""
        self.losses[step - 1].copy_(loss)
        self.gradient_norms[step - 1].copy_(gradient_norm)
        if time.monotonic() - self._read >= READ_SECONDS:
            self.report(step)

    def report(self, step: int) -> None:
        """Log the intervals that have ended since the last report, and a line for the last of them."""
        ends = [
            end for end in range(self._reported + 1, step + 1) if end == 1 or end % self._log_every_steps == 0
        ]
        self._read = time.monotonic()
        if not ends:
            return
        losses, norms = self.losses[:step].tolist(), self.gradient_norms[:step].tolist()
        for end in ends:
            # The first interval after the first step has one step less.
            begin = 0 if end == 1 else max(end - self._log_every_steps, 1 if self._log_every_steps > 1 else 0)
            loss = sum(losses[begin:end]) / (end - begin)
            self.curves["train"].append((end, loss))
            figures = {"train_loss": loss, "learning_rate": self._rates[end - 1]}
            self._log_metrics(figures | {"gradient_norm": norms[end - 1]}, end)
        self._reported = ends[-1]
        seconds = max(time.monotonic() - self._began, 1e-9)
        steps, all_steps = step - self._first_step, len(self._rates)
        logger.info(
            "step %d/%d  epoch %.2f/%g  loss %.4f  %.0f samples/s  %s left",
            *(step, all_steps, step / all_steps * self._epochs, self._epochs, loss),
            steps / all_steps * self._epochs * self._train_rows / seconds,
            format_duration(seconds / steps * (all_steps - step)),
        )

    def add_evaluation(self, step: int, loss: float, metrics: Mapping[str, float]) -> None:
        """Log the training loss and the metrics of the validation part."""
        named = {TRAINING_LOSS: loss} | {f"validation_{name}": value for name, value in metrics.items()}
        logger.info(
            "step %d/%d  %s",
            *(step, len(self._rates)),
            "  ".join(f"{name} {value:.4f}" for name, value in named.items()),
        )
        self.curves["validation"].append((step, loss))
        self._log_metrics(named, step)


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
