"""Show the progress of `make run` and the duration of each step."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Column, Table
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
TRAINING_STEP = re.compile(r"step (\d+)/(\d+)")


@dataclass
class Progress:
    """The steps of a command: a bar in a terminal, otherwise a few plain lines."""

    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Show a running step. The yielded function shows its state."""
        start = time.monotonic()
        with (self.live_step if self.console.is_terminal else steps.step)(title) as report:
            yield report
        # A DAG may run several times.
        self.seconds[title] = self.seconds.get(title, 0.0) + time.monotonic() - start

    @contextmanager
    def live_step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Show a running step as a bar in a terminal. The bar has a length during a training."""
        start = time.monotonic()
        state_column = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.fields[state]}", style="dim", markup=False, table_column=state_column),
            console=self.console,
            transient=True,
            expand=True,
        )

        def report(state: str) -> None:
            found = TRAINING_STEP.search(state)
            if found:  # the line ends with the remaining time
                bars.update(bar, completed=int(found[1]), total=int(found[2]))
                state = f"{found.group()}, {state.rpartition('  ')[2]}"
            bars.update(bar, state=state)

        with bars:
            bar = bars.add_task(title, total=None, state="")
            yield report
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
