"""The training loop: batches, learning rate, evaluations, early stopping, and the state for a retry."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.distributed

from training.fine_tuning.batches import TokenisedTweets, length_batches, sorted_batches
from training.fine_tuning.device import process_number, processes
from training.fine_tuning.progress import Progress
from training.fine_tuning.step import TrainingStep, model_inputs, weighted_losses
from training.models.classifier import Classifier
from training.models.presets import TrainingConfig

logger = logging.getLogger(__name__)

EVALUATIONS_PER_EPOCH = 2
# Larger than in training, because no gradients are stored. On a CPU larger still is no faster.
EVAL_BATCH_SIZE = {"cpu": 64, "cuda": 512, "mps": 64}
STATE_SECONDS = 120  # between two states; the state of BERT has 1.8 GB
STATE_FILE = "training.pt"  # state.pt had another layout


@dataclass
class Position:
    """Where a training is.

    Attributes:
        step: finished optimiser steps.
        seconds: duration of these steps, also of those before an interruption.
        best_objective: smallest objective on the validation part.
        waited: evaluations since then.
    """

    step: int = 0
    seconds: float = 0.0
    best_objective: float = math.inf
    waited: int = 0


@dataclass(frozen=True)
class Evaluation:
    """An evaluation on the validation part, for callbacks. `stops` says that the training ends here."""

    step: int
    max_steps: int
    objective: float
    stops: bool


def train(
    step: TrainingStep,
    rows: TokenisedTweets,
    progress: Progress,
    evaluate: Callable[[], tuple[float, dict[str, float]]],
    config: TrainingConfig,
    rates: list[float],
    folder: Path,
    on_evaluation: Callable[[Evaluation], None],
    validate_every_steps: int | None = None,
) -> Position:
    """Train until the last step or until patience ends. The model then has the best weights.

    `evaluate` returns the objective and the metrics of the validation part, `rates` has the learning rate of
    each step. The other arguments are those of `fine_tune`.
    """
    steps_per_epoch = math.ceil(len(rows) / config.batch_size)
    evaluation_steps = math.ceil(steps_per_epoch / EVALUATIONS_PER_EPOCH)
    epochs = [
        length_batches(rows.lengths, config.batch_size, config.seed, epoch)
        for epoch in range(math.ceil(config.epochs))
    ]
    on_device = [torch.tensor(batches, device=rows.class_shares.device) for batches in epochs]
    widths = [[rows.width(batch) for batch in batches] for batches in epochs]
    step.prepare([width for epoch in widths for width in epoch])
    position, best = Position(), [weight.detach().clone() for weight in step.model.parameters()]
    if (folder / STATE_FILE).is_file():
        position = load_state(folder, step, progress, best)
        logger.info("resuming an interrupted training from step %d", position.step)

    resumed_seconds, began = position.seconds, time.monotonic()
    saved = began
    while position.step < len(rates) and position.waited < config.patience:
        epoch, number = divmod(position.step, steps_per_epoch)
        step.run(
            on_device[epoch][number],
            widths[epoch][number],
            rates[position.step],
            step_seed(config.seed, position.step),
        )
        position.step += 1
        progress.add_step(position.step, step.figures)
        decides = position.step % evaluation_steps == 0 or position.step == len(rates)
        if decides or (validate_every_steps and position.step % validate_every_steps == 0):
            progress.report(position.step)
            found, metrics = evaluate()
            progress.add_evaluation(position.step, found, metrics)
        if decides:
            position.waited += 1
            if found < position.best_objective:
                position.best_objective, position.waited = found, 0
                torch._foreach_copy_(best, [weight.detach() for weight in step.model.parameters()])
            stops = position.waited >= config.patience or position.step == len(rates)
            on_evaluation(Evaluation(position.step, len(rates), found, stops))
        position.seconds = resumed_seconds + time.monotonic() - began
        if time.monotonic() - saved >= STATE_SECONDS and process_number() == 0:
            save_state(folder, position, step, progress, best)
            saved = time.monotonic()
    step.load_weights(best)
    progress.report(position.step)
    return replace(position, seconds=resumed_seconds + time.monotonic() - began)


def learning_rates(config: TrainingConfig, train_rows: int) -> list[float]:
    """Return the learning rate of each step: linear warm-up from 0 to the maximum, then linear decay to 0."""
    steps = math.ceil(config.epochs * math.ceil(train_rows / config.batch_size))
    warmup = math.ceil(steps * config.warmup_share)
    rising = [number / max(1, warmup) for number in range(warmup)]
    falling = [(steps - number) / max(1, steps - warmup) for number in range(warmup, steps)]
    return [config.learning_rate * factor for factor in rising + falling]


def step_seed(seed: int, step: int) -> int:
    """Return the seed of the random numbers of a step. Each process draws different ones."""
    return (seed * 1_000_000 + step) * 1_000 + process_number()


@torch.no_grad()
def predict(model: Classifier, rows: TokenisedTweets, batch_size: int) -> torch.Tensor:
    """Return (rows, 3) logits in float32, on the device."""
    was_training = model.training
    model.eval()
    device = rows.class_shares.device
    logits = torch.empty_like(rows.class_shares)
    for batch in sorted_batches(rows.lengths, batch_size):
        chosen = torch.tensor(batch, device=device)
        inputs = model_inputs(model, rows.inputs(chosen, rows.width(batch)), torch.float32)
        logits[chosen] = model(**inputs).logits
    model.train(was_training)
    return logits


def objective(logits: torch.Tensor, rows: TokenisedTweets, class_weights: list[float]) -> float:
    """Return the minimised loss without R-Drop: the mean of the rows, the same in all processes."""
    weights = torch.tensor(class_weights, device=logits.device)
    mean = weighted_losses(logits, rows.class_shares, weights).mean()
    if processes() > 1:
        torch.distributed.broadcast(mean, src=0)  # a rounding difference must not stop only some processes
    return mean.item()


def save_state(
    folder: Path, position: Position, step: TrainingStep, progress: Progress, best: list[torch.Tensor]
) -> None:
    """Write the state of a training. A process that is killed meanwhile leaves the earlier one."""
    state = {
        "position": asdict(position),
        "step": step.state(),
        "best": [weight.cpu() for weight in best],
        "progress": progress.state(position.step),
    }
    unfinished = folder / f"{STATE_FILE}.unfinished"
    torch.save(state, unfinished)
    unfinished.replace(folder / STATE_FILE)


def load_state(folder: Path, step: TrainingStep, progress: Progress, best: list[torch.Tensor]) -> Position:
    """Set weights, optimiser and losses from a state, and return its position."""
    state = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
    step.load_state(state["step"])
    for weight, saved in zip(best, state["best"], strict=True):
        weight.copy_(saved)
    position = Position(**state["position"])
    progress.load_state(position.step, state["progress"])
    return position
