"""Why a run ends early, in words for the person who reads the task's log."""


class TrainingError(Exception):
    """Something outside the code is wrong: the message is one line and says what to do about it."""


class NothingToTrain(Exception):  # noqa: N818 (it is no error)
    """There is no work to do, and nothing is wrong: the message is one line and says why."""
