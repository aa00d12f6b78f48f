"""How a command of this room ends: its exit status, and one line for the person who reads the task's log."""

import logging
import signal
import sys
from collections.abc import Callable

from training.errors import NothingToTrain, TrainingError
from training.tracking import without_credentials

# Airflow's BashOperator takes this exit status for "skipped", not for success: the Asset of the models does not change.
SKIPPED = 99

logger = logging.getLogger("training")


def exit_status(work: Callable[[], None]) -> int:
    """Do the work; 0, SKIPPED when there was nothing to do, or 1 with one line on stderr when something outside is wrong."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    logger.setLevel(logging.INFO)
    # Airflow ends a task by SIGTERM; as an exception it unwinds the run, which MLflow then marks as failed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        work()
    except NothingToTrain as reason:
        logger.info("skipped: %s", without_credentials(str(reason)))
        return SKIPPED
    except TrainingError as error:
        print(f"error: {without_credentials(str(error))}", file=sys.stderr)
        return 1
    return 0
