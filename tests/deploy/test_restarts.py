"""Supervisor restarts a service until its cause is gone, and not at full speed. The clock is simulated."""

import signal
from types import SimpleNamespace

import pytest
from supervisor import process as supervisor_process
from supervisor.options import ServerOptions
from supervisor.states import ProcessStates, SupervisorStates
from supervisor.tests.base import DummyOptions

from deploy.embedded.supervision import PROGRAM_CONFIGURATION

HOUR = 3600


class Machine:
    """One service of supervisor, on a machine where a fault lets it live for some seconds only."""

    def __init__(self, folder, monkeypatch, lives):
        program = PROGRAM_CONFIGURATION.format(name="mlflow", python="/bin/sh", logs=folder)
        file = folder / "supervisord.conf"
        file.write_text(f"[supervisord]\nnodaemon=true\nchildlogdir={folder}\n{program}")
        options = ServerOptions()
        options.realize(["-c", str(file)])
        [group] = options.process_group_configs
        [config] = group.process_configs
        self.now, self.lives, self.starts = 1_000_000.0, lives, []
        monkeypatch.setattr(supervisor_process, "time", SimpleNamespace(time=lambda: self.now))
        config.options = DummyOptions()
        config.options.mood = SupervisorStates.RUNNING
        config.options.fork = self.fork
        config.make_dispatchers = lambda _: ({}, {})
        self.process = supervisor_process.Subprocess(config)
        self.process.spawn()

    def fork(self):
        self.starts.append(self.now)
        return len(self.starts)

    def run(self, seconds, step=1):
        for _ in range(0, seconds, step):
            self.now += step
            if self.process.pid and self.now - self.starts[-1] >= self.lives:
                self.process.finish(self.process.pid, signal.SIGABRT)
            self.process.transition()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return lambda lives: Machine(tmp_path, monkeypatch, lives)


@pytest.mark.parametrize("lives", [1, 10])
def test_service_starts_again_after_a_fault_of_a_day(machine, lives):
    broken = machine(lives)
    broken.run(24 * HOUR, step=10)
    assert broken.process.state != ProcessStates.FATAL
    broken.lives = float("inf")
    broken.run(HOUR // 6)
    assert broken.process.state == ProcessStates.RUNNING


@pytest.mark.parametrize("lives", [1, 10])
def test_service_with_a_fault_is_not_restarted_at_full_speed(machine, lives):
    broken = machine(lives)
    broken.run(HOUR)
    assert len(broken.starts) < 100


def test_service_that_was_killed_once_is_back_within_seconds(machine):
    killed = machine(float("inf"))
    killed.run(HOUR)
    killed.process.finish(killed.process.pid, signal.SIGKILL)
    killed.run(5)
    assert len(killed.starts) == 2
