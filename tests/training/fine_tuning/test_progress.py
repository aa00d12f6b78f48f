import logging

import pytest
import torch

from training.fine_tuning import progress
from training.fine_tuning.progress import Progress, format_duration


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


def steps(target: Progress, numbers: range) -> None:
    """Add steps whose loss is their number, with twice the gradient norm and three times the objective."""
    for number in numbers:
        target.add_step(number, torch.tensor([3.0, 1.0, 2.0]) * number)


def new_progress(recorded: list, log_every_steps: int = 10) -> Progress:
    rates = [step / 100 for step in range(1, 41)]
    return Progress(
        lambda metrics, step: recorded.append((step, metrics)),
        rates,
        2.0,
        200,
        log_every_steps,
        torch.device("cpu"),
    )


def test_a_progress_line_has_step_loss_speed_and_remaining_time(clock, caplog) -> None:
    recorded: list = []
    target = new_progress(recorded)
    steps(target, range(1, 10))
    clock.now += 10
    with caplog.at_level(logging.INFO, logger="training"):
        steps(target, range(10, 11))  # 10 of 40 steps, half of 200 rows, in 10 s: 30 s are left
    assert caplog.messages == ["step 10/40  epoch 0.50/2  loss 6.0000  10 samples/s  30 s left"]
    # The mean of steps 2 to 10 is 6. The first step has an entry of its own.
    assert [(step, pytest.approx(metrics)) for step, metrics in recorded] == [
        (
            1,
            {
                "train/objective": 3.0,
                "train/learning_rate": 0.01,
                "train/gradient_norm": 2.0,
                "train/loss": 1.0,
            },
        ),
        (
            10,
            {
                "train/objective": 18.0,
                "train/learning_rate": 0.1,
                "train/gradient_norm": 20.0,
                "train/loss": 6.0,
            },
        ),
    ]
    assert target.curves["train"] == [(1, 1.0), (10, 6.0)]


def test_losses_are_read_at_most_once_a_second_and_none_is_lost(clock, monkeypatch) -> None:
    recorded: list = []
    target = new_progress(recorded, log_every_steps=5)
    reads = []
    report = target.report
    monkeypatch.setattr(target, "report", lambda step: (reads.append(step), report(step)))
    for number in range(1, 41):
        clock.now += 0.15
        steps(target, range(number, number + 1))
    assert reads == [7, 14, 21, 28, 35]
    report(40)
    assert [step for step, _ in recorded] == [1, 5, 10, 15, 20, 25, 30, 35, 40]
    assert [metrics["train/loss"] for _, metrics in recorded] == [1, 3.5, 8, 13, 18, 23, 28, 33, 38]


def test_with_an_interval_of_one_step_each_loss_is_logged() -> None:
    recorded: list = []
    target = new_progress(recorded, log_every_steps=1)
    steps(target, range(1, 4))
    target.report(3)
    assert [(step, metrics["train/loss"]) for step, metrics in recorded] == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_resumed_training_logs_its_own_speed_and_no_interval_twice(clock, caplog) -> None:
    recorded: list = []
    target = new_progress(recorded)
    losses = torch.arange(1.0, 21.0)
    state = {"figures": torch.stack([3 * losses, losses, torch.zeros(20)]), "reported": 10}
    target.load_state(20, state | {"curves": {"train": [(1, 1.0), (10, 6.0)], "validation": []}})
    steps(target, range(21, 31))
    clock.now += 10
    with caplog.at_level(logging.INFO, logger="training"):
        target.report(30)
    assert caplog.messages == ["step 30/40  epoch 1.50/2  loss 25.5000  10 samples/s  10 s left"]
    assert [step for step, _ in recorded] == [20, 30]  # step 20 was not logged before the interruption
    assert target.curves["train"] == [(1, 1.0), (10, 6.0), (20, 15.5), (30, 25.5)]


def test_validation_metrics_are_logged_with_their_names() -> None:
    recorded: list = []
    target = new_progress(recorded)
    target.add_evaluation(20, 0.5, {"loss": 0.6, "accuracy": 0.75})
    assert recorded == [
        (20, {"validation/objective": 0.5, "validation/loss": 0.6, "validation/accuracy": 0.75})
    ]
    assert target.curves["validation"] == [(20, 0.6)]


def test_an_interval_without_labels_has_an_objective_but_no_loss() -> None:
    recorded: list = []
    target = new_progress(recorded, log_every_steps=2)
    for number, loss in enumerate(
        [float("nan"), 2.0, 4.0, float("nan"), float("nan"), float("nan")], start=1
    ):
        target.add_step(number, torch.tensor([1.0, loss, 0.0]))
    target.report(6)
    assert [(step, metrics.get("train/loss")) for step, metrics in recorded] == [
        (1, None),
        (2, 2.0),
        (4, 4.0),
        (6, None),
    ]
    assert all(metrics["train/objective"] == 1.0 for _, metrics in recorded)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (3600, "1 h 00 min")]
)
def test_durations_carry_over(seconds, text) -> None:
    assert format_duration(seconds) == text
