import logging
from types import SimpleNamespace

import pytest

from training.fine_tuning import progress
from training.fine_tuning.progress import ProgressLines, format_duration


def log(callback: ProgressLines, step: int, at_epoch: float, **logs: float) -> None:
    state = SimpleNamespace(global_step=step, max_steps=40, epoch=at_epoch)
    callback.on_log(SimpleNamespace(num_train_epochs=2.0), state, None, logs=logs)


def test_a_progress_line_has_step_loss_speed_and_remaining_time(monkeypatch, caplog) -> None:
    clock = iter([100.0, 110.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    recorded = []
    callback = ProgressLines(lambda metrics, step: recorded.append((step, metrics)), train_rows=200)
    callback.on_train_begin(None, SimpleNamespace(global_step=0, log_history=[]), None)
    with caplog.at_level(logging.INFO, logger="training"):
        # 10 of 40 steps, half of 200 rows, in 10 s: 30 s are left
        log(callback, 10, 0.5, loss=0.75, learning_rate=1e-4, grad_norm=2.0, epoch=0.5)
    assert caplog.messages == ["step 10/40  epoch 0.50/2  loss 0.7500  10 samples/s  30 s left"]
    assert recorded == [(10, {"train_loss": 0.75, "learning_rate": 1e-4, "gradient_norm": 2.0})]


def test_the_summary_of_the_trainer_is_not_logged(caplog) -> None:
    callback = ProgressLines(lambda *_: pytest.fail("unexpected metrics"), train_rows=200)
    with caplog.at_level(logging.INFO, logger="training"):
        log(callback, 40, 2.0, train_runtime=9.0, train_loss=0.5)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (3600, "1 h 00 min")]
)
def test_durations_carry_over(seconds, text) -> None:
    assert format_duration(seconds) == text
