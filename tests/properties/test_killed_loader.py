"""A retry after kill -9 gives the undisturbed tables. tests/faults tests a hundred random moments."""

from pathlib import Path

import pytest

from tests.properties.killed_loader import check_that_a_retry_completes


@pytest.mark.timeout(300)
def test_a_retry_after_kill_9_gives_the_undisturbed_tables(tmp_path: Path) -> None:
    # Kill the loader after each of its commits, in most cases before the next one.
    assert (
        check_that_a_retry_completes(tmp_path, seed=1, moments=[(commits, 0.0) for commits in range(1, 9)])
        >= 4
    )
