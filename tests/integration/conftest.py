"""The whole embedded platform on free ports in a temporary folder, started once for all tests here and stopped at the end."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy import sample_dump
from deploy.embedded import summary, supervision
from deploy.embedded.airflow_api import AirflowApi
from deploy.embedded.settings import DEFAULT_PORTS, Settings, bypass_proxy_for_loopback

REPOSITORY = Path(__file__).parents[2]
SAMPLE_TWEETS = 600


@dataclass(frozen=True)
class Platform:
    """A started platform, and how to use it as a person would."""

    settings: Settings
    environment: dict[str, str]
    dump: Path

    def make(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of the Makefile's commands against this platform."""
        command = ["make", "--no-print-directory", *arguments]
        return subprocess.run(
            command,
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
            timeout=580,
        )

    def api(self) -> AirflowApi:
        return AirflowApi(self.settings)

    def rows(self) -> dict[str, int]:
        """The rows of each table, as `make status` shows them: by itself that costs some seconds of processor time, mostly for starting.

        Without the scores, which follow in their own time.
        """
        counts = summary.row_counts(self.settings)
        return {name: rows for name, rows in counts.items() if name != "tweets_scored"}


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now."""
    with contextlib.ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in bound:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in bound]


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    bypass_proxy_for_loopback(os.environ)
    # Not pytest's own folder: its path is too long for a Unix socket.
    home = Path(tempfile.mkdtemp(prefix="vaxpulse-"))
    ports = dict(zip(DEFAULT_PORTS, free_ports(len(DEFAULT_PORTS)), strict=True))
    environment = (
        os.environ
        | {"VAXPULSE_HOME": str(home)}
        | {f"VAXPULSE_{name.upper()}_PORT": str(port) for name, port in ports.items()}
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
