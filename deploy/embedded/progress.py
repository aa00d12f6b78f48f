"""Show what `make run` is doing, how long each step takes, and at the end what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

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
    """The steps of one command, shown live in a terminal and as plain lines elsewhere."""

    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Show a step that runs; the given function changes the words behind its title."""
        start = time.monotonic()
        last_shown = ""

        def line(detail: str) -> Text:
            return Text.assemble(
                f"{title}  ", (f"{time.monotonic() - start:.0f} s  ", "dim"), (detail, "dim")
            )

        if self.console.is_terminal:
            spinner = Spinner("dots", text=line(""))
            with Live(spinner, console=self.console, transient=True, refresh_per_second=8):
                yield lambda detail: spinner.update(text=line(detail))
        else:
            self.console.print(f"… {title}")

            def show(detail: str) -> None:
                nonlocal last_shown
                if detail and detail != last_shown:
                    last_shown = detail
                    self.console.print(f"    {time.monotonic() - start:5.0f} s  {detail}")

            yield show
        self.seconds[title] = time.monotonic() - start
        self.console.print(Text.assemble(("✓ ", "green"), title, (f"  {self.seconds[title]:.1f} s", "dim")))

    def timings(self) -> Table:
        """Return how long each step took."""
        table = Table(title="Time", title_justify="left", box=None, pad_edge=False, show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for title, seconds in [*self.seconds.items(), ("all together", sum(self.seconds.values()))]:
            table.add_row(title, f"{seconds:.1f} s")
        return table


def state_text(state: str | None) -> Text:
    """Return a state of Airflow's as a coloured symbol and word."""
    symbol, colour = SYMBOLS.get(state or "", ("·", "dim"))
    return Text(f"{symbol} {state or 'waiting'}", style=colour)
