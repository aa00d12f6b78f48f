"""Start and stop the services with supervisor."""

import fcntl
import functools
import hashlib
import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from deploy.common.checkout import REPOSITORY
from deploy.common.errors import CommandError
from deploy.common.steps import wait_until
from deploy.embedded.guard import kill_and_wait, leftover_processes
from deploy.embedded.initialization import (
    create_databases,
    initialize_hdfs,
    initialize_postgres,
    migrate_airflow,
)
from deploy.embedded.ports import check_ports_are_free, check_ports_are_unchanged
from deploy.embedded.services import SERVICES
from deploy.embedded.settings import Settings

HEALTHY_SECONDS = 180  # a first start with cold disk caches took up to 60 s
STOP_SECONDS = 60
RELEASE_FILE = "release"  # in the folder `run`
RUNNING_STATES = ("RUNNING", "STARTING", "BACKOFF")  # supervisor does not start a service in these states

SUPERVISOR_CONFIGURATION = """\
[supervisord]
nodaemon=false
silent=true
logfile={logs}/supervisord.log
logfile_maxbytes=10MB
logfile_backups=3
pidfile={run}/supervisord.pid
childlogdir={logs}
directory={repository}

[unix_http_server]
file={run}/supervisor.sock
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
# Supervisor waits one second longer after each start that fails (after a day of failures: 7 minutes). It
# never gives up, because the cause, for example a full disk, may disappear. A service that ends within
# `startsecs` has failed to start. Many faults become visible only after some seconds; with a smaller number
# Supervisor would restart such a service at full speed.
PROGRAM_CONFIGURATION = """
[program:{name}]
command="{python}" -m deploy.embedded.guard {name}
autostart=false
autorestart=true
startsecs=30
startretries=1000000
stopwaitsecs=20
redirect_stderr=true
stdout_logfile={logs}/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


@contextmanager
def exclusive(settings: Settings) -> Iterator[None]:
    """Hold the lock of this platform. Raise CommandError if another command holds it."""
    with (settings.folder("run") / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"another `make run`, `make stop` or `make clean` uses {settings.home}: wait until it ends"
            ) from None
        yield


def supervisor(settings: Settings) -> Any:
    """Return supervisor's remote interface."""
    socket = settings.home / "run" / "supervisor.sock"
    transport = SupervisorTransport(None, None, serverurl=f"unix://{socket}")
    return xmlrpc.client.ServerProxy("http://supervisor", transport=transport).supervisor


def states(settings: Settings) -> dict[str, str]:
    """Return supervisor's state of each service (RUNNING, BACKOFF, ...), empty if supervisor does not run."""
    try:
        return {process["name"]: process["statename"] for process in supervisor(settings).getAllProcessInfo()}
    except (OSError, xmlrpc.client.Error):
        return {}


def is_up(settings: Settings) -> bool:
    """Return whether this platform's supervisor runs."""
    return bool(states(settings))


def start(settings: Settings, report: Callable[[str], None]) -> None:
    """Start all services that do not run, and return when all are healthy.

    Args:
        settings: the platform.
        report: called with the services that are not healthy yet.

    Raises:
        CommandError: a port is in use or a service does not start. Services that ran before this call still
            run, the others are stopped.
    """
    if is_up(settings) and recorded_release(settings) != release():
        report("stopping the services of another release")
        stop(settings)
    ran_before = running_services(settings)
    if is_up(settings):
        check_ports_are_unchanged(settings)
    else:
        check_ports_are_free(settings)
    try:
        settings.write_configuration()
        if not is_up(settings):
            start_supervisor(settings)
        with ThreadPoolExecutor(1) as executor:
            hdfs = executor.submit(start_hdfs, settings)
            start_databases(settings, report)
            hdfs.result()
        launch(settings, *SERVICES)
        wait_for_health(settings, list(SERVICES), report)
    except BaseException:
        if ran_before:
            stop_services(settings, [name for name in SERVICES if name not in ran_before])
        else:
            stop(settings)
        raise


def start_hdfs(settings: Settings) -> None:
    """Start both HDFS daemons."""
    initialize_hdfs(settings)
    launch(settings, "namenode", "datanode")


def start_databases(settings: Settings, report: Callable[[str], None]) -> None:
    """Start PostgreSQL, and create the databases and tables of Airflow and MLflow."""
    initialize_postgres(settings)
    launch(settings, "postgres")
    wait_for_health(settings, ["postgres"], report)
    create_databases(settings)
    launch(settings, "mlflow")  # creates its tables during Airflow's migration
    migrate_airflow(settings, report)


def running_services(settings: Settings) -> set[str]:
    """Return the services that supervisor has started and not stopped."""
    return {name for name, state in states(settings).items() if state in RUNNING_STATES}


def start_supervisor(settings: Settings) -> None:
    """Write supervisor's configuration and start it as a daemon."""
    run, logs = settings.folder("run"), settings.folder("logs")
    configuration = run / "supervisord.conf"
    configuration.write_text(supervisor_configuration(settings))
    (run / RELEASE_FILE).write_text(release())
    (run / "supervisor.sock").unlink(missing_ok=True)  # a killed supervisor leaves it
    subprocess.run(
        [sys.executable, "-m", "supervisor.supervisord", "-c", configuration],
        check=True,
        cwd=REPOSITORY,
        env={**os.environ, "VAXPULSE_HOME": str(settings.home)},
    )
    wait_until(lambda: is_up(settings), 20, f"supervisor did not start: see {logs / 'supervisord.log'}")


def supervisor_configuration(settings: Settings) -> str:
    """Return the content of supervisord.conf."""
    run, logs = settings.folder("run"), settings.folder("logs")
    programs = (
        PROGRAM_CONFIGURATION.format(name=name, python=sys.executable, logs=logs) for name in SERVICES
    )
    main = SUPERVISOR_CONFIGURATION.format(run=run, logs=logs, repository=REPOSITORY)
    return main + "".join(programs)


def release() -> str:
    """Return the commit, the locked packages and the services: what a running platform was started with."""
    commit = ""
    with suppress(OSError):  # git is not installed
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False
        ).stdout.strip()
    lock = hashlib.sha256((REPOSITORY / "requirements.txt").read_bytes()).hexdigest()
    return " ".join([commit, lock, *SERVICES])


def recorded_release(settings: Settings) -> str:
    """Return `release()` at the start of the supervisor, or '' before it was recorded."""
    path = settings.home / "run" / RELEASE_FILE
    return path.read_text() if path.exists() else ""


def launch(settings: Settings, *names: str) -> None:
    """Let supervisor start services that do not run. Return immediately."""
    for name in names:
        if name not in running_services(settings):
            supervisor(settings).startProcess(name, False)


def wait_for_health(settings: Settings, names: list[str], report: Callable[[str], None]) -> None:
    """Wait until services are healthy, and report those that are not yet."""
    waiting = {name: SERVICES[name] for name in names}
    deadline = time.monotonic() + HEALTHY_SECONDS
    while waiting:
        problems = {name: service.health_problem(settings) for name, service in waiting.items()}
        waiting = {name: service for name, service in waiting.items() if problems[name]}
        if waiting and time.monotonic() > deadline:
            name = next(iter(waiting))
            log = settings.home / "logs" / f"{name}.log"
            raise CommandError(
                f"{SERVICES[name].title} {problems[name]}: {last_log_line(settings, name)} (log: {log})"
            )
        report("waiting for " + ", ".join(service.title for service in waiting.values()) if waiting else "")
        time.sleep(0.3 if waiting else 0)


def last_log_line(settings: Settings, name: str) -> str:
    """Return the last line of a service's log."""
    log = settings.home / "logs" / f"{name}.log"
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")


def stop(settings: Settings) -> None:
    """Stop all services, and kill the processes that do not stop."""
    if is_up(settings):
        stop_services(settings, list(SERVICES))
        process = supervisor_process(settings)
        supervisor(settings).shutdown()
        if process:
            psutil.wait_procs([process], timeout=20)
    for name in SERVICES:
        kill_and_wait(leftover_processes(settings, name))
    for name in ("supervisor.sock", "supervisord.pid"):
        (settings.home / "run" / name).unlink(missing_ok=True)


def stop_services(settings: Settings, names: list[str]) -> None:
    """Stop services and wait until they have ended. The database is last, because the others write to it."""
    for group in (
        [name for name in names if name != "postgres"],
        [name for name in names if name == "postgres"],
    ):
        for name in group:
            with suppress_not_running():
                supervisor(settings).stopProcess(name, False)
        with suppress(CommandError):
            wait_until(functools.partial(have_stopped, settings, group), STOP_SECONDS, "not stopped")


def have_stopped(settings: Settings, names: list[str]) -> bool:
    """Return whether none of these services runs."""
    current = states(settings)
    return all(current.get(name) in ("STOPPED", "FATAL", "EXITED", None) for name in names)


@contextmanager
def suppress_not_running() -> Iterator[None]:
    """Ignore supervisor's fault that a service has stopped already."""
    try:
        yield
    except xmlrpc.client.Fault as fault:
        if "NOT_RUNNING" not in fault.faultString:
            raise


def supervisor_process(settings: Settings) -> psutil.Process | None:
    """Return supervisor's process, or None if it does not run."""
    try:
        return psutil.Process(int((settings.home / "run" / "supervisord.pid").read_text()))
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None
