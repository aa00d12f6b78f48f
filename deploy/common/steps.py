"""Report the steps of a command, and wait for conditions."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from deploy.common.errors import CommandError

T = TypeVar("T")
PROGRESS_SECONDS = 60  # a training of an hour prints sixty lines


@contextmanager
def step(title: str) -> Iterator[Callable[[str], None]]:
    """Print a line when a step starts and when it ends.

    The yielded function prints the state of the step if it changed, at most once in PROGRESS_SECONDS. A
    remark in parentheses at the end of the title is printed at the start only.
    """
    start = printed_at = time.monotonic()
    printed = ""

    def report(state: str) -> None:
        nonlocal printed, printed_at
        now = time.monotonic()
        if state and state != printed and now - printed_at >= PROGRESS_SECONDS:
            printed, printed_at = state, now
            print(f"    {now - start:5.0f} s  {state}", flush=True)

    print(f"… {title}", flush=True)
    yield report
    print(f"✓ {title.split(' (')[0]}  {time.monotonic() - start:.1f} s", flush=True)


def wait_until(condition: Callable[[], T], seconds: float, message: str, *, pause_seconds: float = 0.1) -> T:
    """Evaluate a condition until its value is true, and return this value.

    Raises:
        CommandError: the value is still false after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise CommandError(f"{message} (waited {seconds:.0f} s)")
        time.sleep(pause_seconds)
    return value
