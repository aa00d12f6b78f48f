"""Load every dump that was delivered: into `tweets_raw`, `quarantine` and `dumps`, in the order of delivery.

    python -m loading.load_dumps --delivered URI --raw URI --tweets-raw URI --quarantine URI --dumps URI --run-id TEXT --most-quarantined 0.05 ...

`settle_dumps` does it, in a process of its own: a library in it that gets no memory aborts the process, which no exception handler sees. Such a
delivery has failed; another process goes on with the others. Arguments, output and exit status are those of `settle_dumps`.
"""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence

# How a process ends that gets no memory: by itself, by the kernel, or by a fault. Anything else that ends it means that it is to end.
CRASHES = {signal.SIGABRT, signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS}


PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


def die_with_parent() -> None:
    """Get SIGKILL when the parent dies, so that nothing goes on behind the back of whoever has killed it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: Sequence[str]) -> int:
    """Settle every delivery; returns the exit status."""
    crashed: list[str] = []
    with tempfile.TemporaryFile() as current:
        while True:
            command = [
                sys.executable,
                "-m",
                "loading.settle_dumps",
                *arguments,
                f"--current={current.fileno()}",
            ]
            command += [f"--crashed={path}" for path in crashed]
            status = subprocess.run(
                command, check=False, pass_fds=[current.fileno()], preexec_fn=die_with_parent
            ).returncode
            path = os.pread(current.fileno(), os.fstat(current.fileno()).st_size, 0).decode()
            if -status not in CRASHES or not path or path in crashed:
                return status if status >= 0 else 128 - status  # as a shell has it
            crashed.append(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
