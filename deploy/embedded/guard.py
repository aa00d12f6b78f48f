"""Run one service and leave nothing of it behind: `python -m deploy.embedded.guard SERVICE`, started by supervisor.

A service that is killed leaves its own children behind (Airflow's task processes, MLflow's workers), and they hold ports, so that
every restart fails. The guard is the parent that outlives the service: the kernel hands it every orphan (child subreaper), and it
kills them before supervisor starts the service anew. When the guard itself is killed, the kernel ends the service (parent death
signal), and the next guard kills what is left of that session.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import psutil

from deploy.embedded.services import SERVICES
from deploy.embedded.settings import Settings, write_private

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
STOP_SECONDS = 15  # supervisor waits five more before it kills the guard


def main(name: str) -> int:
    """Run service `name` until it exits or SIGTERM tells us to stop it; return its exit status."""
    settings = Settings.load()
    service = SERVICES[name]
    kill_leftovers(settings, name)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # if supervisor is killed, everything goes
    if os.getppid() == 1:
        return 1  # it was killed before we asked to be told
    child = subprocess.Popen(
        service.command(settings),
        env=settings.environment(),
        cwd=settings.home,
        start_new_session=True,
        preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),  # a single-threaded parent: safe
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
    """Collect the exit status of the service and of every orphan handed to us; return the service's."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def record_session(settings: Settings, name: str, session: int) -> None:
    """Record which session a service runs in, for the next guard."""
    write_private(session_file(settings, name), json.dumps({"session": session, "boot": boot_id()}))


def kill_leftovers(settings: Settings, name: str) -> None:
    """Kill every process of the session that an earlier guard of this service recorded and could not end."""
    kill_and_wait(leftover_processes(settings, name))
    session_file(settings, name).unlink(missing_ok=True)


def leftover_processes(settings: Settings, name: str) -> list[psutil.Process]:
    """Return the processes in the recorded session of a service, and those they started in sessions of their own."""
    try:
        record = json.loads(session_file(settings, name).read_text())
    except (
        FileNotFoundError,
        ValueError,
    ):  # none was started, or a power loss has left an empty file: nothing survives that
        return []
    if record["boot"] != boot_id():
        return []
    members = [process for process in psutil.process_iter() if session_of(process.pid) == record["session"]]
    # The id may belong to another program's session by now; a service's working folder is the home of its platform.
    if not any(working_folder(member).is_relative_to(settings.home) for member in members):
        return []
    return list(
        {process.pid: process for member in members for process in [member, *descendants(member)]}.values()
    )


def boot_id() -> str:
    """Return the kernel's id of this boot: process ids start again at the next one."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def working_folder(process: psutil.Process) -> Path:
    """Return the working folder of a process, the root when it is gone."""
    try:
        return Path(process.cwd())
    except psutil.Error:
        return Path("/")


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """Return all that a process started, none when it is gone."""
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def session_of(pid: int) -> int:
    """Return the session of a process, 0 when it is gone."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def kill_and_wait(processes: list[psutil.Process]) -> None:
    """Kill processes and wait until they are gone."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=10)


def session_file(settings: Settings, name: str) -> Path:
    """Return where the session of a service is recorded."""
    return settings.folder("run", "sessions") / name


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process (prctl(2))."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
