"""A loader killed between its commits: the retry gives the undisturbed tables. Some moments here, a hundred in tests/faults."""

from pathlib import Path

import pytest

from tests.properties.killed_loader import check_that_a_retry_completes


@pytest.mark.timeout(300)
def test_a_retry_after_kill_9_gives_the_undisturbed_tables(tmp_path: Path) -> None:
    # After each of the commits: dead at once, mostly before the next one can follow.
    assert (
        check_that_a_retry_completes(tmp_path, seed=1, moments=[(commits, 0.0) for commits in range(1, 9)])
        >= 4
    )
