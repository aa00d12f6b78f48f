"""Measure wall time and CPU time."""

import time
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).parents[1]
CORES = 2


class Clock:
    """Wall time since its creation, and CPU time of this process and its children."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.monotonic(), self.cpu_seconds()

    @staticmethod
    def cpu_seconds() -> float:
        process = psutil.Process()
        used = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        return sum(times.user + times.system for times in used)

    def result(self, rows: float) -> dict[str, float]:
        return {
            "seconds": time.monotonic() - self.wall,
            "cpu_seconds": self.cpu_seconds() - self.cpu,
            "rows": rows,
        }
