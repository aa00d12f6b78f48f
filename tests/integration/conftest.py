"""The embedded platform on free ports in a temporary folder. All tests of this folder share it."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.common import sample_dump, summary
from deploy.common.airflow_api import AirflowApi
from deploy.common.checkout import REPOSITORY
from deploy.embedded import supervision
from deploy.embedded.settings import DEFAULT_PORTS, Settings, bypass_proxy_for_loopback, port_variable

SAMPLE_TWEETS = 300


@dataclass(frozen=True)
class Platform:
    """A platform and the commands of its users."""

    settings: Settings
    environment: dict[str, str]
    dump: Path

    def make(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a target of the Makefile for this platform."""
        command = ["make", "--no-print-directory", *arguments]
        return subprocess.run(
            command,
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
            timeout=1480,
        )

    def api(self) -> AirflowApi:
        return AirflowApi(self.settings)

    def query(self, table: str, sql: str) -> list[dict[str, Any]]:
        """Return the result of a query, empty if the table does not exist yet."""
        delta = summary.open_table(self.settings, table)
        return summary.query(delta, sql) if delta else []

    def rows(self) -> dict[str, int]:
        """Return the row count of each table, except those that score_tweets and watch_platform write later.

        The counts are those of `make status`, which takes some seconds of CPU time to start.
        """
        counts = summary.row_counts(self.settings)
        later = ("tweets_scored", "drift", "pipeline_metrics")
        return {name: rows for name, rows in counts.items() if name not in later}


def free_ports(count: int) -> list[int]:
    """Return unused ports."""
    with contextlib.ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in bound:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in bound]


@contextlib.contextmanager
def new_platform(parent: Path | None = None) -> Iterator[Platform]:
    """Yield a platform that does not run yet. Stop it and delete its home in the end.

    Args:
        parent: folder for the home. The path of pytest's temporary folder is too long for a Unix socket.
    """
    bypass_proxy_for_loopback(os.environ)
    home = Path(tempfile.mkdtemp(prefix="vaxpulse-", dir=parent))
    ports = dict(zip(DEFAULT_PORTS, free_ports(len(DEFAULT_PORTS)), strict=True))
    environment = (
        os.environ
        | {"VAXPULSE_HOME": str(home), "VAXPULSE_DUMP_HOSTS": "127.0.0.1"}
        | {port_variable(name): str(port) for name, port in ports.items()}
    )
    dump = home / "dump.csv"
    sample_dump.write_dump(SAMPLE_TWEETS, 11, dump)
    platform = Platform(Settings(home, ports), environment, dump)
    try:
        yield platform
    finally:
        supervision.stop(platform.settings)
        if os.environ.get("KEEP_PLATFORM"):
            print(f"kept {home}")
        else:
            shutil.rmtree(home)


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    with new_platform() as platform:
        yield platform
