"""Inspection of a file in a process without secrets, with limits on memory and processor time."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, Any

MEMORY_BYTES = 1 << 31
PROCESSOR_SECONDS = 1200
# `setpriv`: the process ends with the server. `nice`: Airflow's pages have priority.
LIMITS = (
    *("setpriv", "--pdeathsig", "KILL", "nice", "-n", "10"),
    *("prlimit", f"--data={MEMORY_BYTES}", f"--cpu={PROCESSOR_SECONDS}"),
)
INHERITED = ("PATH", "PYTHONPATH", "LANG", "TMPDIR", "HOME")  # the environment of a service contains secrets
UNKNOWN: dict[str, Any] = {
    "outcome": "unknown",
    "records": 0,
    "message": "The file could not be inspected within the limits on memory and time, or HDFS did not "
    "answer. Load it: if anything is ambiguous, the dump is held, and its page has the questions.",
}


def inspect_file(file: IO[bytes], mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report of `loading.inspect` about an open file, or UNKNOWN if it exceeds a limit."""
    path = f"/proc/self/fd/{file.fileno()}"
    options = ["--json", "--details", "--mapping", json.dumps(mapping)]
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    done = subprocess.run(
        [*LIMITS, sys.executable, "-m", "loading.inspect", path, *options],
        env=environment | {"POLARS_MAX_THREADS": "1"},
        pass_fds=(file.fileno(),),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return UNKNOWN
    return report
