"""A driver killed in the middle of load_dump: the retry gives the undisturbed tables. Two moments here, twenty in tests/faults."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.laws.killed_driver import check_that_a_retry_completes


@pytest.mark.timeout(900)
def test_a_retry_after_kill_9_gives_the_undisturbed_tables(spark: SparkSession, tmp_path: Path) -> None:
    # After the quarantine's commit, and after that of tweets_raw: dead at once, before the next one can follow.
    assert check_that_a_retry_completes(spark, tmp_path, seed=1, moments=[(1, 0.0), (2, 0.0)]) == 2
