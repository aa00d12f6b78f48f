"""Daily commands run every day, and a failed one is a problem of the service."""

import subprocess

import pytest

from deploy.embedded import housekeeping
from deploy.embedded import settings as settings_module
from deploy.embedded.services import housekeeping_problem
from deploy.embedded.settings import DEFAULT_PORTS, Settings


class StoppedError(Exception):
    """SIGTERM arrived."""


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A platform without the limit for the path of a Unix socket."""
    monkeypatch.setattr(settings_module, "MAX_SOCKET_PATH", 500)
    monkeypatch.setenv("VAXPULSE_HOME", str(tmp_path))
    return Settings(tmp_path, dict(DEFAULT_PORTS))


def run_days(monkeypatch, results: dict[str, int], days: int) -> tuple[list[str], list[float]]:
    """Run the service for some days. Return the commands that ran, and the pauses."""
    ran, pauses = [], []

    def run(command, **_):
        ran.append(command)
        name = "checkpoint" if "-checkpoint" in command else "history"
        return subprocess.CompletedProcess(command, results.get(name, 0))

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) > days:
            raise StoppedError

    monkeypatch.setattr(subprocess, "run", run)
    names = {"history": ["history"], "checkpoint": ["-checkpoint"]}
    monkeypatch.setattr(housekeeping, "commands", lambda _: names)
    monkeypatch.setattr(Settings, "environment", lambda _: {})
    with pytest.raises(StoppedError):
        housekeeping.main(sleep)
    return ran, pauses


def test_both_commands_run_every_day(settings, monkeypatch):
    ran, pauses = run_days(monkeypatch, {}, 3)
    assert len(ran) == 6
    assert pauses == [600, 86_400, 86_400, 86_400]
    assert housekeeping_problem(settings) == ""


def test_failed_command_is_a_problem_until_it_succeeds(settings, monkeypatch):
    run_days(monkeypatch, {"checkpoint": 1}, 1)
    assert housekeeping_problem(settings) == "failed: checkpoint"
    run_days(monkeypatch, {}, 1)
    assert housekeeping_problem(settings) == ""
