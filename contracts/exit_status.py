"""Exit statuses of every command that Airflow starts.

| status | meaning | Airflow |
|---|---|---|
| 0 | done | success |
| 65 | the input is invalid (`InputError`); a retry would fail in the same way | failed, without a retry |
| 99 | there is nothing to do (`NothingToDo`) | skipped |
| any other | an unexpected or temporary error | retried |
"""

import sys
from collections.abc import Callable

DONE = 0
BAD_INPUT = 65  # EX_DATAERR of <sysexits.h>
NOTHING_TO_DO = 99  # the status that Airflow's BashOperator treats as skipped by default


class InputError(Exception):
    """The input of a command is invalid. The message is one line that states the required action."""


class NothingToDo(Exception):  # noqa: N818 (not an error)
    """A command has nothing to do. The message is one line that gives the reason."""


def run_command(work: Callable[[], object], describe: Callable[[str], str] = str) -> int:
    """Run a command and return its exit status. Write the reason for BAD_INPUT or NOTHING_TO_DO to stderr.

    Args:
        work: the command. Exceptions other than `InputError` and `NothingToDo` are not caught.
        describe: edits a message before it is written, for example to remove credentials.
    """
    try:
        work()
    except NothingToDo as reason:
        print(f"skipped: {describe(str(reason))}", file=sys.stderr, flush=True)
        return NOTHING_TO_DO
    except InputError as error:
        print(f"error: {describe(str(error))}", file=sys.stderr, flush=True)
        return BAD_INPUT
    return DONE
