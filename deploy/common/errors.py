"""Failures that a command expects."""

import sys
from collections.abc import Callable

INTERRUPTED = 130  # exit status after Ctrl-C, as in a shell


class CommandError(Exception):
    """A command cannot go on. The message is one line: the cause and what to do."""


def run_command(
    command: Callable[[], object],
    program: str,
    interrupted: str,
    expected: tuple[type[Exception], ...] = (CommandError,),
) -> int:
    """Run a command, and return the exit status of its program.

    Args:
        command: is called without arguments.
        program: name before each message on stderr.
        interrupted: message after Ctrl-C.
        expected: errors whose message is for the user. They give the status 1.
    """
    try:
        command()
    except expected as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{program}: {interrupted}", file=sys.stderr)
        return INTERRUPTED
    return 0
