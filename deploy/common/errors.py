"""Failures that a command expects."""


class CommandError(Exception):
    """A command cannot go on. The message is one line: the cause and what to do."""
