"""The one error a person is meant to read."""


class TrainingError(Exception):
    """Something outside the code is wrong: the message is one line and says what to do about it."""
