"""Start, watch and stop the services with supervisor."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from deploy.embedded.guard import kill_and_wait, leftover_processes
from deploy.embedded.install import ENVIRONMENT, REPOSITORY
from deploy.embedded.services import (
    SERVICES,
    airflow,
    connect_postgres,
    hdfs_daemon,
    postgres_command,
    postgres_data,
)
from deploy.embedded.settings import POSTGRES_USER, Settings, is_free, port_variable, saved_ports

HEALTHY_SECONDS = (
    180  # the first start, when everything is read from disk for the first time, took 60 s at most
)
STOP_SECONDS = 60
RUNNING_STATES = (
    "RUNNING",
    "STARTING",
    "BACKOFF",
)  # supervisor's own list: it refuses to start a service in one of these

SUPERVISOR_CONFIGURATION = """\
[supervisord]
nodaemon=false
silent=true
logfile={logs}/supervisord.log
pidfile={run}/supervisord.pid
childlogdir={logs}
directory={repository}

[unix_http_server]
file={run}/supervisor.sock
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
PROGRAM_CONFIGURATION = """
[program:{name}]
command={python} -m deploy.embedded.guard {name}
autostart=false
autorestart=true
startsecs=3
startretries=20
stopwaitsecs=20
redirect_stderr=true
stdout_logfile={logs}/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


class StartError(Exception):
    """One line that says which service did not start and what to do."""


@contextmanager
def exclusive(settings: Settings) -> Iterator[None]:
    """Hold the lock of this platform: a second `make run` or `make stop` fails while this one is at work."""
    with (settings.folder("run") / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(
                f"another `make run` or `make stop` is at work on {settings.home}: wait for it to end"
            ) from None
        yield


def supervisor(settings: Settings) -> Any:
    """Return supervisor's remote interface."""
    socket = settings.home / "run" / "supervisor.sock"
    transport = SupervisorTransport(None, None, serverurl=f"unix://{socket}")
    return xmlrpc.client.ServerProxy("http://supervisor", transport=transport).supervisor


def states(settings: Settings) -> dict[str, str]:
    """Return supervisor's state of each service (RUNNING, STARTING, BACKOFF, ...), empty when nothing was started."""
    try:
        return {process["name"]: process["statename"] for process in supervisor(settings).getAllProcessInfo()}
    except (OSError, xmlrpc.client.Error):
        return {}


def is_up(settings: Settings) -> bool:
    """Tell whether this platform's supervisor runs."""
    return bool(states(settings))


def check_ports(settings: Settings) -> None:
    """Raise StartError when a port that we need is taken."""
    for service in SERVICES.values():
        for name in service.ports:
            port = settings.ports[name]
            if not is_free(port):
                raise StartError(
                    f"port {port} ({service.title}) is in use{user_of(port)}: end that program, "
                    f"or choose another port with `{port_variable(name)}={port + 1} make run`"
                )


def user_of(port: int) -> str:
    """Return ' by NAME (process N)' for a listening port, as far as we may see it."""
    try:
        listening = [
            c
            for c in psutil.net_connections("tcp")
            if c.status == psutil.CONN_LISTEN and c.laddr.port == port
        ]
        process = psutil.Process(listening[0].pid)
        return f" by {process.name()} (process {process.pid})"
    except (psutil.Error, IndexError, TypeError):
        return ""


def check_ports_unchanged(settings: Settings) -> None:
    """Raise StartError when the running services have other ports than those that are asked for now."""
    for name, port in saved_ports(settings.home).items():
        if port != settings.ports[name]:
            raise StartError(
                f"the platform runs with {port_variable(name)}={port}, not {settings.ports[name]}: "
                "`make stop` first, a running service cannot change its port"
            )


def start(settings: Settings, report: Callable[[str], None]) -> None:
    """Start every service that does not run, and return when all are healthy.

    Args:
        settings: the platform to start.
        report: is told in a few words what is being waited for.

    Raises:
        StartError: a port is taken or a service does not come up. What ran before still runs then; what this call has started does not.
    """
    ran_before = running_services(settings)
    if is_up(settings):
        check_ports_unchanged(settings)
    else:
        check_ports(settings)
    try:
        settings.write_configuration()
        if not is_up(settings):
            start_supervisor(settings)
        with ThreadPoolExecutor(1) as beside:
            hdfs = beside.submit(start_hdfs, settings)
            start_databases(settings, report)
            hdfs.result()
        launch(settings, *SERVICES)
        await_health(settings, list(SERVICES), report)
    except BaseException:
        if ran_before:
            stop_services(settings, [name for name in SERVICES if name not in ran_before])
        else:
            stop(settings)
        raise


def start_hdfs(settings: Settings) -> None:
    """Start both daemons of the file system, formatted before their first start."""
    initialize_hdfs(settings)
    launch(settings, "namenode", "datanode")


def start_databases(settings: Settings, report: Callable[[str], None]) -> None:
    """Start PostgreSQL and make what Airflow and MLflow need in it."""
    initialize_postgres(settings)
    launch(settings, "postgres")
    await_health(settings, ["postgres"], report)
    create_databases(settings)
    launch(settings, "mlflow")  # it makes its own tables meanwhile
    migrate_airflow(settings, report)


def running_services(settings: Settings) -> set[str]:
    """Return the services that supervisor keeps running."""
    return {name for name, state in states(settings).items() if state in RUNNING_STATES}


def start_supervisor(settings: Settings) -> None:
    """Write supervisor's configuration and start it in the background."""
    run, logs = settings.folder("run"), settings.folder("logs")
    configuration = run / "supervisord.conf"
    programs = (
        PROGRAM_CONFIGURATION.format(name=name, python=sys.executable, logs=logs) for name in SERVICES
    )
    configuration.write_text(
        SUPERVISOR_CONFIGURATION.format(run=run, logs=logs, repository=REPOSITORY) + "".join(programs)
    )
    (run / "supervisor.sock").unlink(missing_ok=True)  # left by one that was killed
    environment = {**os.environ, "VAXPULSE_HOME": str(settings.home)}
    subprocess.run(
        [ENVIRONMENT / "bin" / "supervisord", "-c", configuration],
        check=True,
        cwd=REPOSITORY,
        env=environment,
    )
    wait_until(lambda: is_up(settings), 20, "supervisor did not start; its log is logs/supervisord.log")


def launch(settings: Settings, *names: str) -> None:
    """Ask supervisor to start services that it does not run already; return at once."""
    for name in names:
        if name not in running_services(settings):
            supervisor(settings).startProcess(name, False)


def await_health(settings: Settings, names: list[str], report: Callable[[str], None]) -> None:
    """Wait until services are healthy; report which are not yet."""
    waiting = {name: SERVICES[name] for name in names}
    deadline = time.monotonic() + HEALTHY_SECONDS
    while waiting:
        current = states(settings)
        problems = {name: service.health_problem(settings) for name, service in waiting.items()}
        gave_up = [name for name in problems if current.get(name) == "FATAL"]
        waiting = {name: service for name, service in waiting.items() if problems[name]}
        if waiting and (gave_up or time.monotonic() > deadline):
            name = (gave_up or list(waiting))[0]
            raise StartError(
                f"{SERVICES[name].title} {problems[name]}: {last_log_line(settings, name)} (whole log: {settings.home / 'logs' / name}.log)"
            )
        report(", ".join(service.title for service in waiting.values()))
        time.sleep(0.3 if waiting else 0)


def last_log_line(settings: Settings, name: str) -> str:
    """Return the last line of a service's log."""
    log = settings.home / "logs" / f"{name}.log"
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")


def initialize_postgres(settings: Settings) -> None:
    """Create the database cluster when there is none: under a temporary name, renamed when it is complete."""
    data = postgres_data(settings)
    if (data / "PG_VERSION").exists():
        return
    if data.exists() and any(data.iterdir()):
        raise StartError(
            f"{data} has files but no PG_VERSION, so it is no database of PostgreSQL: move it away, nothing of it was touched"
        )
    unfinished = data.with_name("data.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    read_end, write_end = (
        os.pipe()
    )  # the password is neither an argument nor a file that another user could read
    os.write(write_end, settings.secrets["postgres_password"].encode())
    os.close(write_end)
    if os.geteuid() == 0:
        shutil.chown(unfinished, "nobody", "nogroup")
    arguments = [
        "-U",
        POSTGRES_USER,
        f"--pwfile=/dev/fd/{read_end}",
        "--auth=scram-sha-256",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
    ]
    initialize = postgres_command("initdb", unfinished, *arguments)
    with os.fdopen(read_end):
        made = subprocess.run(initialize, pass_fds=[read_end], capture_output=True, text=True, check=False)
    if made.returncode:
        raise StartError(
            f"PostgreSQL could not make its folder {data}: {(made.stderr.strip() or made.stdout.strip()).splitlines()[-1]}"
        )
    unfinished.rename(data)


def initialize_hdfs(settings: Settings) -> None:
    """Format the NameNode's folder when it never was; data in it is never touched."""
    if (settings.home / "hdfs" / "name" / "current" / "VERSION").exists():
        return
    format_command = [*hdfs_daemon("namenode.NameNode")(settings), "-format", "-nonInteractive"]
    made = subprocess.run(
        format_command, env=settings.environment(), capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise StartError(
            f"HDFS could not format {settings.home / 'hdfs' / 'name'}: {made.stderr.strip().splitlines()[-1]}"
        )


def create_databases(settings: Settings) -> None:
    """Make the databases of Airflow, MLflow and the searches of settings when they are not there."""
    connection = connect_postgres(settings, "postgres")
    with connection.cursor() as cursor:
        for database in ("airflow", "mlflow", "studies"):
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if not cursor.fetchone():
                cursor.execute(f'CREATE DATABASE "{database}"')
    connection.close()


def migrate_airflow(settings: Settings, report: Callable[[str], None]) -> None:
    """Migrate Airflow's database to the installed version; it takes seconds, so a stamp file records that it was done."""
    stamp = settings.home / "postgres" / f"airflow-{version('apache-airflow')}-migrated"
    if stamp.exists():
        return
    report("Airflow's tables")
    made = subprocess.run(
        airflow("db", "migrate")(settings),
        env=settings.environment(),
        cwd=settings.home,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise StartError(f"Airflow could not make its tables: {made.stderr.strip().splitlines()[-1]}")
    stamp.touch()


def stop(settings: Settings) -> None:
    """Stop every service, the database last, and kill whatever does not stop by itself."""
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
    """Stop these services and wait for it, the database last: the others write to it until they end."""
    for group in (
        [name for name in names if name != "postgres"],
        [name for name in names if name == "postgres"],
    ):
        for name in group:
            with suppress_not_running():
                supervisor(settings).stopProcess(name, False)
        wait_until(functools.partial(have_stopped, settings, group), STOP_SECONDS)


def have_stopped(settings: Settings, names: list[str]) -> bool:
    """Tell whether none of these services runs."""
    current = states(settings)
    return all(current.get(name) in ("STOPPED", "FATAL", "EXITED", None) for name in names)


@contextmanager
def suppress_not_running() -> Iterator[None]:
    """Ignore supervisor's fault that a service is stopped already."""
    try:
        yield
    except xmlrpc.client.Fault as fault:
        if "NOT_RUNNING" not in fault.faultString:
            raise


def supervisor_process(settings: Settings) -> psutil.Process | None:
    """Return supervisor's process."""
    try:
        return psutil.Process(int((settings.home / "run" / "supervisord.pid").read_text()))
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None


def wait_until(condition: Callable[[], bool], seconds: float, message: str = "") -> bool:
    """Wait for a condition; after `seconds` raise StartError with the message, or return False when there is none."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            if message:
                raise StartError(message)
            return False
        time.sleep(0.1)
    return True
