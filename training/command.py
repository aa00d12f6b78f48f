"""How a command of this package ends: its exit status, and one line for the reader of the task log."""

import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from contracts.exit_status import run_command

logger = logging.getLogger("training")


class TransientError(Exception):
    """A service does not answer or a resource is in use. Airflow retries. The message is one line."""


def run(work: Callable[[], object]) -> int:
    """Run a command and return its exit status: 1 for TransientError, else as `run_command` returns it."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    logger.setLevel(logging.INFO)
    # Airflow ends a task by SIGTERM. The exception unwinds the run, so that MLflow marks it as failed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return run_command(work, without_credentials)
    except TransientError as error:
        print(f"error: {without_credentials(str(error))}", file=sys.stderr)
        return 1


def restart_with_torchrun(module: str, arguments: Sequence[str], processes: int) -> NoReturn:
    """Replace this process by torchrun, which starts a module once for each device."""
    options = ["--standalone", f"--nproc-per-node={processes}", "-m", module]
    logging.shutdown()
    program = [sys.executable, "-m", "torch.distributed.run", *options, *arguments]
    os.execv(sys.executable, program)  # noqa: S606 (no shell)


def without_credentials(message: str) -> str:
    """Return the message with the `user:password@` of every URI replaced by `***@`."""
    return re.sub(r"(?<=://)[^/\s@]+@", "***@", message)
