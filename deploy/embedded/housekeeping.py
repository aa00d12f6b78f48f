"""Daily work beside the services: `python -m deploy.embedded.housekeeping`, a service of supervisor.

| command | reason |
|---|---|
| history | Tasks of Airflow have no access to its database, so no DAG can delete old runs |
| checkpoint | A NameNode merges its edit log into an image only when it starts. Until then the log grows |
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from deploy.common.checkout import REPOSITORY
from deploy.common.files import write_private
from deploy.embedded.services import hdfs_daemon, python_module
from deploy.embedded.settings import Settings

DAY_SECONDS = 86_400
# After a start the first work is due when the other services have started.
FIRST_PAUSE_SECONDS = 600


def commands(settings: Settings) -> dict[str, list[str]]:
    """Return the command line of each daily command."""
    return {
        "history": python_module("vaxpulse_airflow.retention"),
        # Fetches image and edits by HTTP, merges them and uploads the new image, without safe mode.
        "checkpoint": [*hdfs_daemon("namenode.SecondaryNameNode")(settings), "-checkpoint", "force"],
    }


def work(settings: Settings) -> list[str]:
    """Run all commands. Return the names of those that failed."""
    plugins = f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'plugins'}"
    environment = settings.environment() | {"PYTHONPATH": plugins}
    failed = []
    for name, command in commands(settings).items():
        print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {name}", flush=True)
        if subprocess.run(command, env=environment, cwd=settings.home, check=False).returncode:
            failed.append(name)
    return failed


def state_file(settings: Settings) -> Path:
    """Return the file with the result of the last work of this process."""
    return settings.folder("run") / "housekeeping.json"


def main(sleep: Callable[[float], object] = time.sleep) -> int:
    """Work every day until SIGTERM arrives."""
    settings = Settings.load()
    state_file(settings).unlink(missing_ok=True)
    sleep(FIRST_PAUSE_SECONDS)
    while True:
        write_private(state_file(settings), json.dumps({"failed": work(settings)}))
        sleep(DAY_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
