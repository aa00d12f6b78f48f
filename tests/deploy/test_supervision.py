"""A start does not affect running services and existing data."""

import shlex
import subprocess
import xmlrpc.client
from pathlib import Path
from types import SimpleNamespace

import pytest
from supervisor.options import ServerOptions

from deploy.common.errors import CommandError
from deploy.embedded import initialization, supervision
from deploy.embedded.services import SERVICES
from deploy.embedded.settings import DEFAULT_PORTS, Settings, saved_ports


class FakeSupervisor:
    """Supervisor's remote interface with simulated states. Services in `broken` do not start."""

    def __init__(self, running=(), broken=()):
        self.states = (
            {name: "RUNNING" if name in running else "STOPPED" for name in SERVICES} if running else {}
        )
        self.broken = broken

    def getAllProcessInfo(self):
        if not self.states:
            raise ConnectionRefusedError
        return [{"name": name, "statename": state} for name, state in self.states.items()]

    def startProcess(self, name, _wait):
        if self.states[name] in ("RUNNING", "STARTING", "BACKOFF"):
            raise xmlrpc.client.Fault(60, f"ALREADY_STARTED: {name}")
        self.states[name] = "BACKOFF" if name in self.broken else "RUNNING"

    def stopProcess(self, name, _wait):
        if self.states[name] in ("STOPPED", "FATAL"):
            raise xmlrpc.client.Fault(70, f"NOT_RUNNING: {name}")
        self.states[name] = "STOPPED"

    def shutdown(self):
        self.states = {}

    def running(self):
        return {name for name, state in self.states.items() if state == "RUNNING"}


@pytest.fixture
def settings(tmp_path):
    return Settings(tmp_path, dict(DEFAULT_PORTS))


@pytest.fixture
def supervised(settings, monkeypatch):
    """Return a function that simulates a platform with running services. A running service is healthy."""

    def make(running=(), broken=()):
        fake = FakeSupervisor(running, broken)
        (settings.folder("run") / supervision.RELEASE_FILE).write_text(supervision.release())
        monkeypatch.setattr(supervision, "supervisor", lambda _: fake)
        monkeypatch.setattr(supervision, "start_supervisor", lambda _: fake.__init__(["none"], broken))
        for step in ("initialize_postgres", "initialize_hdfs", "create_databases", "check_ports_are_free"):
            monkeypatch.setattr(supervision, step, lambda _: None)
        monkeypatch.setattr(supervision, "migrate_airflow", lambda *_: None)
        services = {
            name: SimpleNamespace(
                title=name,
                ports=service.ports,
                health_problem=lambda _, name=name: "" if fake.states[name] == "RUNNING" else "is down",
            )
            for name, service in SERVICES.items()
        }
        monkeypatch.setattr(supervision, "SERVICES", services)
        return fake

    return make


def interrupt(_waiting):
    raise KeyboardInterrupt


def test_start_starts_all_services(supervised, settings):
    fake = supervised()
    supervision.start(settings, lambda _: None)
    assert fake.running() == set(SERVICES)


def test_interrupted_first_start_leaves_nothing_running(supervised, settings):
    fake = supervised()
    with pytest.raises(KeyboardInterrupt):
        supervision.start(settings, interrupt)
    assert fake.states == {}


def test_interrupted_second_start_stops_no_running_service(supervised, settings):
    fake = supervised(running=SERVICES)
    settings.save()
    with pytest.raises(KeyboardInterrupt):
        supervision.start(settings, interrupt)
    assert fake.running() == set(SERVICES)


def test_second_start_that_fails_stops_no_running_service(supervised, settings, monkeypatch):
    monkeypatch.setattr(supervision, "HEALTHY_SECONDS", 0)
    alive = set(SERVICES) - {"mlflow", "spark-history"}
    fake = supervised(running=alive, broken=["mlflow"])
    settings.save()
    with pytest.raises(CommandError, match="mlflow is down"):
        supervision.start(settings, lambda _: None)
    assert fake.running() == alive


def test_start_waits_for_a_service_that_supervisor_restarts(supervised, settings):
    fake = supervised(running=SERVICES)
    settings.save()
    fake.states["mlflow"] = "BACKOFF"

    def come_back(waiting):
        if "mlflow" in waiting:
            fake.states["mlflow"] = "RUNNING"

    supervision.start(settings, come_back)
    assert fake.running() == set(SERVICES)


@pytest.mark.parametrize("recorded", [None, "an earlier commit and lock"])
def test_start_with_another_release_restarts_all_services(supervised, settings, recorded):
    # The supervisor of an earlier release does not know all services.
    fake = supervised(running=set(SERVICES) - {"housekeeping"})
    settings.save()
    file = settings.home / "run" / supervision.RELEASE_FILE
    file.write_text(recorded) if recorded else file.unlink()
    reported = []
    supervision.start(settings, reported.append)
    assert reported[0] == "stopping the services of another release"
    assert fake.running() == set(SERVICES)


def test_paths_may_contain_blanks(tmp_path, monkeypatch):
    python = tmp_path / "my checkout" / "python"
    python.parent.mkdir()
    python.touch(mode=0o700)
    monkeypatch.setattr(supervision.sys, "executable", str(python))
    settings = Settings(tmp_path / "my home", dict(DEFAULT_PORTS))
    file = settings.folder("run") / "supervisord.conf"
    file.write_text(supervision.supervisor_configuration(settings))
    options = ServerOptions()
    options.realize(["-c", str(file)])
    processes = [group.process_configs[0] for group in options.process_group_configs]
    assert {process.name for process in processes} == set(SERVICES)
    for process in processes:
        command = shlex.split(process.command)
        assert command == [str(python), "-m", "deploy.embedded.guard", process.name]
        assert Path(process.stdout_logfile) == settings.home / "logs" / f"{process.name}.log"


def test_changed_port_is_refused_while_the_platform_runs(supervised, settings):
    fake = supervised(running=SERVICES)
    settings.save()
    moved = Settings(settings.home, settings.ports | {"airflow": 8090})
    with pytest.raises(
        CommandError, match=r"runs with VAXPULSE_AIRFLOW_PORT=8080, not 8090: `make stop` first"
    ):
        supervision.start(moved, lambda _: None)
    assert fake.running() == set(SERVICES)
    assert saved_ports(settings.home) == settings.ports


class TestDatabaseFolder:
    @pytest.fixture
    def initdb(self, monkeypatch):
        """Simulate `initdb`: it writes its folder, or fails before it is complete."""
        outcome = SimpleNamespace(status=0)

        def initialize(command, **_):
            folder = Path(command[command.index("-D") + 1])
            (folder / "base").mkdir()
            (folder / "PG_VERSION").write_text("16\n")
            return subprocess.CompletedProcess(
                command, outcome.status, "", "could not write: No space left on device"
            )

        monkeypatch.setattr(initialization.subprocess, "run", initialize)
        monkeypatch.setattr(initialization.os, "geteuid", lambda: 1000)
        return outcome

    def test_is_created_once(self, settings, initdb):
        settings.folder("postgres")
        initialization.initialize_postgres(settings)
        data = settings.home / "postgres" / "data"
        (data / "base" / "table").write_text("rows")
        initialization.initialize_postgres(settings)
        assert (data / "base" / "table").read_text() == "rows"
        assert data.stat().st_mode & 0o777 == 0o700
        assert [path.name for path in data.parent.iterdir()] == ["data"]

    def test_with_data_is_not_changed(self, settings, initdb):
        data = settings.folder("postgres", "data")
        (data / "PG_VERSION").write_text("16\n")
        (data / "table").write_text("rows")
        initialization.initialize_postgres(settings)
        assert (data / "table").read_text() == "rows"

    def test_with_files_but_without_version_is_refused_and_not_changed(self, settings, initdb):
        data = settings.folder("postgres", "data")
        (data / "table").write_text("rows")
        with pytest.raises(CommandError, match=r"is not a PostgreSQL data directory \(no PG_VERSION\)"):
            initialization.initialize_postgres(settings)
        assert (data / "table").read_text() == "rows"

    def test_of_an_interrupted_creation_is_created_again(self, settings, initdb):
        settings.folder("postgres")
        initdb.status = 1
        with pytest.raises(CommandError, match="No space left on device"):
            initialization.initialize_postgres(settings)
        assert not (settings.home / "postgres" / "data").exists()
        initdb.status = 0
        initialization.initialize_postgres(settings)
        assert (settings.home / "postgres" / "data" / "PG_VERSION").exists()
