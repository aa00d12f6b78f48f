"""Load every delivered dump into `tweets_raw`, `quarantine` and `dumps`, in the order of delivery.

    python -m loading.load_dumps --delivered URI --raw URI --tweets-raw URI --quarantine URI --dumps URI ...

`process_deliveries` does the work in a subprocess: a library that cannot allocate memory aborts its process,
which no exception handler can prevent. The delivery that caused the crash counts as failed, and a new
subprocess continues with the others. Arguments, output and exit status are those of `process_deliveries`.
"""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence

# Signals that end a process for lack of memory or after a memory fault. Other signals are requests to stop.
CRASH_SIGNALS = {signal.SIGABRT, signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS}
PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent dies, so that no orphan continues to load."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: Sequence[str]) -> int:
    """Process every delivery and return the exit status of the last subprocess."""
    crashed: list[str] = []
    with tempfile.TemporaryFile() as current:
        while True:
            command = [sys.executable, "-m", "loading.process_deliveries", *arguments]
            command += [f"--current={current.fileno()}", *(f"--crashed={path}" for path in crashed)]
            status = subprocess.run(
                command, check=False, pass_fds=[current.fileno()], preexec_fn=die_with_parent
            ).returncode
            path = os.pread(current.fileno(), os.fstat(current.fileno()).st_size, 0).decode()
            if -status not in CRASH_SIGNALS or not path or path in crashed:
                return status if status >= 0 else 128 - status  # like a shell
            crashed.append(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
