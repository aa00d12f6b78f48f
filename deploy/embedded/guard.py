"""Run a service and end all its processes with it: `python -m deploy.embedded.guard SERVICE`, for supervisor.

A service that is killed leaves child processes (Airflow's tasks, MLflow's workers). They occupy ports, so
that every restart fails. The guard is the parent of the service: the kernel reparents orphans to it (child
subreaper), and it kills them before supervisor restarts the service. If the guard itself is killed, the
kernel kills the service (parent death signal), and the next guard kills the remaining processes of that
session.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import psutil

from deploy.common.files import write_private
from deploy.embedded.services import SERVICES, postgres_data
from deploy.embedded.settings import Settings

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
STOP_SECONDS = 15  # supervisor kills the guard 5 s later


def main(name: str) -> int:
    """Run a service until it exits or SIGTERM arrives, and return its exit status."""
    settings = Settings.load()
    service = SERVICES[name]
    kill_leftovers(settings, name)
    if name == "postgres":
        remove_stale_lock(postgres_data(settings))
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # if supervisor is killed, stop the service
    if os.getppid() == 1:
        return 1  # supervisor was killed before prctl
    child = subprocess.Popen(
        service.command(settings),
        env=settings.environment(),
        cwd=settings.home,
        start_new_session=True,
        preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),  # safe: this process has one thread
    )
    record_session(settings, name, child.pid)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        child.send_signal(service.stop_signal)
        signal.alarm(STOP_SECONDS)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, lambda *_: child.kill())
    status = reap_until(child.pid)
    signal.alarm(0)
    kill_and_wait(psutil.Process().children(recursive=True))
    session_file(settings, name).unlink(missing_ok=True)
    return status


def reap_until(pid: int) -> int:
    """Wait for child processes, including adopted orphans, until `pid` ends. Return its exit status."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def record_session(settings: Settings, name: str, session: int) -> None:
    """Record the session of a service for the next guard."""
    write_private(session_file(settings, name), json.dumps({"session": session, "boot": boot_id()}))


def kill_leftovers(settings: Settings, name: str) -> None:
    """Kill all processes in the session that an earlier guard of this service recorded."""
    kill_and_wait(leftover_processes(settings, name))
    session_file(settings, name).unlink(missing_ok=True)


def remove_stale_lock(data: Path) -> None:
    """Remove PostgreSQL's lock file if its process has ended. Keep it in case of doubt.

    After a power failure another process may have the recorded id. PostgreSQL would then not start.
    """
    lock = data / "postmaster.pid"
    try:
        is_stale = Path(psutil.Process(int(lock.read_text().split("\n", 1)[0])).cwd()) != data.resolve()
    except (FileNotFoundError, psutil.AccessDenied):
        return
    except (ValueError, psutil.NoSuchProcess):  # ValueError: truncated by a power failure
        is_stale = True
    if is_stale:
        lock.unlink()


def leftover_processes(settings: Settings, name: str) -> list[psutil.Process]:
    """Return the processes in the recorded session of a service, and their descendants in other sessions."""
    try:
        record = json.loads(session_file(settings, name).read_text())
    except (FileNotFoundError, ValueError):  # ValueError: truncated by a power failure, so no process is left
        return []
    if record["boot"] != boot_id():
        return []
    members = [process for process in psutil.process_iter() if session_of(process.pid) == record["session"]]
    # The kernel may have reused the id for another program. A service runs in the home of its platform.
    if not any(working_folder(member).is_relative_to(settings.home) for member in members):
        return []
    return list(
        {process.pid: process for member in members for process in [member, *descendants(member)]}.values()
    )


def boot_id() -> str:
    """Return the kernel's id of this boot. Process ids are comparable within one boot only."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def working_folder(process: psutil.Process) -> Path:
    """Return the working folder of a process, or the root if it has ended."""
    try:
        return Path(process.cwd())
    except psutil.Error:
        return Path("/")


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """Return all descendants of a process, or an empty list if it has ended."""
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def session_of(pid: int) -> int:
    """Return the session of a process, or 0 if it has ended."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def kill_and_wait(processes: list[psutil.Process]) -> None:
    """Kill processes and wait until they have ended."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=10)


def session_file(settings: Settings, name: str) -> Path:
    """Return the file with the session of a service."""
    return settings.folder("run", "sessions") / name


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process (prctl(2))."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
