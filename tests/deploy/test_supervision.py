"""What a start does to services that run already, and to data that is there already."""

import subprocess
import xmlrpc.client
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.embedded import supervision
from deploy.embedded.services import SERVICES
from deploy.embedded.settings import DEFAULT_PORTS, Settings
from deploy.embedded.supervision import StartError


class FakeSupervisor:
    """Supervisor's remote interface over states that are kept here; what it starts is BACKOFF when `broken` names it."""

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
        self.states[name] = "FATAL" if name in self.broken else "RUNNING"

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
    """Makes a platform of which some services run; no real program is started, and a service is healthy when it runs."""

    def make(running=(), broken=()):
        fake = FakeSupervisor(running, broken)
        monkeypatch.setattr(supervision, "supervisor", lambda _: fake)
        monkeypatch.setattr(supervision, "start_supervisor", lambda _: fake.__init__(["none"], broken))
        for step in ("initialize_postgres", "initialize_hdfs", "create_databases", "check_ports"):
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


def test_start_brings_up_what_does_not_run(supervised, settings):
    fake = supervised()
    supervision.start(settings, lambda _: None)
    assert fake.running() == set(SERVICES)


def test_interrupted_first_start_leaves_nothing_running(supervised, settings):
    fake = supervised()
    with pytest.raises(KeyboardInterrupt):
        supervision.start(settings, interrupt)
    assert fake.states == {}


def test_interrupted_second_start_stops_no_service_that_ran(supervised, settings):
    fake = supervised(running=SERVICES)
    settings.save()
    with pytest.raises(KeyboardInterrupt):
        supervision.start(settings, interrupt)
    assert fake.running() == set(SERVICES)


def test_second_start_that_cannot_revive_a_service_stops_none_that_ran(supervised, settings):
    alive = set(SERVICES) - {"mlflow", "spark-history"}
    fake = supervised(running=alive, broken=["mlflow"])
    settings.save()
    with pytest.raises(StartError, match="mlflow is down"):
        supervision.start(settings, lambda _: None)
    assert fake.running() == alive


def test_service_that_supervisor_is_restarting_is_waited_for(supervised, settings):
    fake = supervised(running=SERVICES)
    settings.save()
    fake.states["mlflow"] = "BACKOFF"

    def come_back(waiting):
        if "mlflow" in waiting:
            fake.states["mlflow"] = "RUNNING"

    supervision.start(settings, come_back)
    assert fake.running() == set(SERVICES)


def test_changed_port_is_refused_while_the_platform_runs_and_nothing_is_stopped(supervised, settings):
    fake = supervised(running=SERVICES)
    settings.save()
    moved = Settings(settings.home, settings.ports | {"airflow": 8090})
    with pytest.raises(
        StartError, match=r"runs with VAXPULSE_AIRFLOW_PORT=8080, not 8090: `make stop` first"
    ):
        supervision.start(moved, lambda _: None)
    assert fake.running() == set(SERVICES)
    assert supervision.saved_ports(settings.home) == settings.ports


class TestDatabaseFolder:
    @pytest.fixture
    def initdb(self, monkeypatch):
        """Stands for `initdb`: writes its folder, or breaks off in the middle."""
        outcome = SimpleNamespace(status=0)

        def initialize(command, **_):
            folder = Path(command[command.index("-D") + 1])
            (folder / "base").mkdir()
            (folder / "PG_VERSION").write_text("16\n")
            return subprocess.CompletedProcess(
                command, outcome.status, "", "could not write: No space left on device"
            )

        monkeypatch.setattr(supervision.subprocess, "run", initialize)
        monkeypatch.setattr(supervision.os, "geteuid", lambda: 1000)
        return outcome

    def test_is_made_once(self, settings, initdb):
        settings.folder("postgres")
        supervision.initialize_postgres(settings)
        data = settings.home / "postgres" / "data"
        (data / "base" / "table").write_text("rows")
        supervision.initialize_postgres(settings)
        assert (data / "base" / "table").read_text() == "rows"
        assert data.stat().st_mode & 0o777 == 0o700
        assert [path.name for path in data.parent.iterdir()] == ["data"]

    def test_with_data_is_kept_whatever_else_is_missing_in_it(self, settings, initdb):
        data = settings.folder("postgres", "data")
        (data / "PG_VERSION").write_text("16\n")
        (data / "table").write_text("rows")
        supervision.initialize_postgres(settings)
        assert (data / "table").read_text() == "rows"

    def test_with_files_but_no_version_is_refused_and_kept(self, settings, initdb):
        data = settings.folder("postgres", "data")
        (data / "table").write_text("rows")
        with pytest.raises(StartError, match="has files but no PG_VERSION"):
            supervision.initialize_postgres(settings)
        assert (data / "table").read_text() == "rows"

    def test_of_a_broken_off_attempt_is_made_anew(self, settings, initdb):
        settings.folder("postgres")
        initdb.status = 1
        with pytest.raises(StartError, match="No space left on device"):
            supervision.initialize_postgres(settings)
        assert not (settings.home / "postgres" / "data").exists()
        initdb.status = 0
        supervision.initialize_postgres(settings)
        assert (settings.home / "postgres" / "data" / "PG_VERSION").exists()
