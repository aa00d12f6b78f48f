"""Show the progress of `make run` and the duration of each step."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.common import steps

SYMBOLS = {
    "success": ("✓", "green"),
    "failed": ("✗", "red"),
    "skipped": ("○", "cyan"),
    "running": ("▶", "yellow"),
    "up_for_retry": ("↻", "yellow"),
    "upstream_failed": ("✗", "red"),
}


@dataclass
class Progress:
    """The steps of a command: live in a terminal, otherwise as plain lines."""

    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Show a running step. The yielded function shows its state."""
        start = time.monotonic()
        with (self.live_step if self.console.is_terminal else steps.step)(title) as report:
            yield report
        self.seconds[title] = time.monotonic() - start

    @contextmanager
    def live_step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Show a running step in a terminal."""
        start = time.monotonic()

        def line(state: str) -> Text:
            seconds = f"{time.monotonic() - start:.0f} s  "
            return Text.assemble(f"{title}  ", (seconds, "dim"), (state, "dim"))

        with self.console.status(line(""), refresh_per_second=8) as status:
            yield lambda state: status.update(line(state))
        seconds = f"  {time.monotonic() - start:.1f} s"
        self.console.print(Text.assemble(("✓ ", "green"), title, (seconds, "dim")))

    def timings(self) -> Table:
        """Return a table with the duration of each step."""
        table = Table(title="Time", title_justify="left", box=None, pad_edge=False, show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for title, seconds in [*self.seconds.items(), ("total", sum(self.seconds.values()))]:
            table.add_row(title, f"{seconds:.1f} s")
        return table


def state_text(state: str | None) -> Text:
    """Return a state of Airflow as a coloured symbol and text."""
    symbol, colour = SYMBOLS.get(state or "", ("·", "dim"))
    return Text(f"{symbol} {state or 'waiting'}", style=colour)
