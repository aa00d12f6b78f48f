"""Repetition of commits that conflict with others."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from deltalake.exceptions import CommitFailedError

# The messages of delta-rs for a conflict with another commit start like this. Any other CommitFailedError is
# permanent, for example if the table is append-only or requires an unsupported feature.
CONFLICT_MESSAGE = "Failed to commit transaction"
MAX_TRIES = 10
# The pause doubles after each try. All pauses together take at most 21 s.
FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 5.0

Result = TypeVar("Result")


def retry_on_conflict(attempt: Callable[[], Result], sleep: Callable[[float], None] = time.sleep) -> Result:
    """Return the result of `attempt`. After a conflict with another commit, pause and repeat it.

    Args:
        attempt: reads the latest version of a table and commits. Because it reads the table again, a change
            of metadata or protocol, or a transaction for the same dump, does not fail the next try.
        sleep: waits for a number of seconds.

    Raises:
        CommitFailedError: the failure is permanent, or MAX_TRIES tries had a conflict.
    """
    for tries in range(MAX_TRIES - 1):
        try:
            return attempt()
        except CommitFailedError as error:
            if not str(error).startswith(CONFLICT_MESSAGE):
                raise
        pause = min(FIRST_PAUSE_SECONDS * 2**tries, MAX_PAUSE_SECONDS)
        sleep(pause * random.uniform(0.5, 1))  # noqa: S311 (not for cryptography)
    return attempt()
