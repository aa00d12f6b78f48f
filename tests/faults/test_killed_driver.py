"""kill -9 of load_dump's driver at twenty random moments: after a retry the tables equal the undisturbed ones."""

import os
import random
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.laws.killed_driver import check_that_a_retry_completes

REPETITIONS = 20
SEED = int(os.environ.get("VAXPULSE_FAULT_SEED", "1"))


@pytest.mark.timeout(3600)
def test_a_retry_after_kill_9_at_a_random_moment_gives_the_undisturbed_tables(spark: SparkSession, tmp_path: Path) -> None:
    draw = random.Random(SEED)
    # No commit yet (some seconds into the start or the reading), between the commits, and now and then after the last.
    moments = [
        (draw.choice([0, 1, 1, 2, 2]), draw.uniform(0, 15) if draw.random() < 0.3 else draw.uniform(0, 1.5)) for _ in range(REPETITIONS)
    ]
    assert check_that_a_retry_completes(spark, tmp_path, SEED, moments) >= REPETITIONS // 2
