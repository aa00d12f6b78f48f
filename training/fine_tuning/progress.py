"""Progress of a training: log lines, metrics and curves. A task log cannot show a progress bar."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from contracts.mlflow_names import TRAIN_LOSS, VALIDATION_LOSS

logger = logging.getLogger(__name__)

# Reading a loss waits for the GPU.
READ_SECONDS = 1.0


class Progress:
    """The losses of a training.

    The loss is the cross entropy against the labels. The objective is the minimised loss: it also
    has soft targets, class weights and R-Drop. Both stay on the device. They are read at most once a second,
    at evaluations and at the end, and then logged for each interval of `log_every_steps` steps and for the
    first step.

    Attributes:
        figures: (3, steps) objective, loss (NaN where no row has a label) and norm of the gradient before
            clipping of each step, on the device.
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
        self.figures = torch.zeros(3, len(rates), device=device)
        self.curves: dict[str, list[tuple[float, float]]] = {"train": [], "validation": []}

    def state(self, step: int) -> dict[str, Any]:
        """Return the figures of the first `step` steps."""
        figures = self.figures[:, :step].cpu()
        return {"figures": figures, "reported": self._reported, "curves": self.curves}

    def load_state(self, step: int, state: Mapping[str, Any]) -> None:
        """Continue after `step` steps of an interrupted training."""
        self.figures[:, :step] = state["figures"]
        self._reported, self.curves = state["reported"], state["curves"]
        self._first_step = step

    def add_step(self, step: int, figures: torch.Tensor) -> None:
        """Record the (3,) figures of a step, counted from 1."""
        self.figures[:, step - 1].copy_(figures)
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
        objectives, losses, norms = self.figures[:, :step].cpu().unbind()
        for end in ends:
            # The first interval after the first step has one step less.
            begin = 0 if end == 1 else max(end - self._log_every_steps, 1 if self._log_every_steps > 1 else 0)
            objective, loss = objectives[begin:end].mean().item(), losses[begin:end].nanmean().item()
            figures = {"train/objective": objective, "train/learning_rate": self._rates[end - 1]}
            figures |= {"train/gradient_norm": norms[end - 1].item()}
            if not math.isnan(loss):  # a teacher's tweets have no labels
                self.curves["train"].append((end, loss))
                figures[TRAIN_LOSS] = loss
            self._log_metrics(figures, end)
        self._reported = ends[-1]
        seconds = max(time.monotonic() - self._began, 1e-9)
        steps, all_steps = step - self._first_step, len(self._rates)
        logger.info(
            "step %d/%d  epoch %.2f/%g  loss %.4f  %.0f samples/s  %s left",
            *(step, all_steps, step / all_steps * self._epochs, self._epochs, loss),
            steps / all_steps * self._epochs * self._train_rows / seconds,
            format_duration(seconds / steps * (all_steps - step)),
        )

    def add_evaluation(self, step: int, objective: float, metrics: Mapping[str, float]) -> None:
        """Log the objective, the loss and the other metrics of the validation part."""
        named = {"validation/objective": objective}
        named |= {f"validation/{name}": value for name, value in metrics.items()}
        logger.info(
            "step %d/%d  %s",
            *(step, len(self._rates)),
            "  ".join(f"{name.replace('/', ' ')} {value:.4f}" for name, value in named.items()),
        )
        self.curves["validation"].append((step, named[VALIDATION_LOSS]))
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
