"""Kill load_dumps with SIGKILL at a hundred random moments, then retry. The tables equal undisturbed ones."""

import os
import random
from pathlib import Path

import pytest

from tests.properties.killed_loader import check_that_a_retry_completes

REPETITIONS = 100
SEED = int(os.environ.get("VAXPULSE_FAULT_SEED", "1"))


@pytest.mark.timeout(3600)
def test_a_retry_after_kill_9_at_a_random_moment_gives_the_undisturbed_tables(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    # While the loader starts, while it reads, between commits, and during commits.
    moments = [
        (draw.randrange(10), draw.choice([0.0, draw.uniform(0, 0.02), draw.uniform(0, 0.3)]))
        for _ in range(REPETITIONS)
    ]
    assert check_that_a_retry_completes(tmp_path, SEED, moments) >= REPETITIONS // 2
