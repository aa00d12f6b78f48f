"""Prepare machines and start services on them. A repeated step changes nothing that is up to date.

FABlib's own post-boot tasks are not used. FABlib runs them once, whether they succeed or not, and stores them
in the orchestrator.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from deploy.common.errors import CommandError
from deploy.common.files import write_private
from deploy.fabric import environment
from deploy.fabric.adapter import Machine
from deploy.fabric.planning import Plan, hosts_file
from deploy.fabric.project import Archive

SCRIPTS = Path(__file__).parent / "host"
UPLOADS = "vaxpulse-setup"  # in the login folder of a machine, mode 700


def on_all(machines: Sequence[Machine], action: Callable[[Machine], None]) -> None:
    """Do the same on all machines at once.

    Raises:
        CommandError: with the errors of all machines that failed.
    """
    errors = []
    with ThreadPoolExecutor(max_workers=max(1, len(machines))) as pool:
        for future in [pool.submit(action, machine) for machine in machines]:
            try:
                future.result()
            except CommandError as error:
                errors.append(str(error))
    if errors:
        raise CommandError("\n  ".join(errors))


def run_script(machine: Machine, name: str, *arguments: str) -> str:
    """Run a script of `host/` as root on a machine, and return its output."""
    return machine.run(" ".join(["sudo", "bash", f"{UPLOADS}/{name}.sh", *arguments]))


def read_report(machine: Machine) -> dict[str, str]:
    """Return the state of a machine, with the keys of host/report.sh."""
    lines = run_script(machine, "report").splitlines()
    return {name: value for name, found, value in (line.partition("=") for line in lines) if found}


def refresh(machine: Machine) -> None:
    """Read the state of a machine. Copy the scripts first unless it has them."""
    scripts = sorted(SCRIPTS.glob("*.sh"))
    expected = hashlib.sha256(b"".join(script.read_bytes() for script in scripts)).hexdigest()
    with suppress(CommandError):  # a new machine has no script
        machine.report = read_report(machine)
    if machine.report.get("scripts") != expected:
        machine.run(f"install -d -m 700 {UPLOADS}")
        for script in scripts:
            machine.upload(script, f"{UPLOADS}/{script.name}")
        machine.report = read_report(machine)


def configure_network(machine: Machine) -> None:
    """Give a machine its address unless it has it."""
    refresh(machine)
    address = str(machine.host.address)
    if address not in machine.report["addresses"].split():
        machine.configure_network()
        machine.report = read_report(machine)
    if address not in machine.report["addresses"].split():
        raise CommandError(f"{machine.host.name}: FABlib did not set the address {address}: run `up` again")


def prepare(machine: Machine, plan: Plan, archive: Archive, secrets: dict[str, str]) -> None:
    """Install Docker and the project on a machine, and build its images, if they are missing."""
    host, report = machine.host, machine.report
    if not report["docker"]:
        run_script(machine, "install_docker")
    if host.gpu and not report["gpu"]:
        run_script(machine, "install_gpu")
    settings = environment.to_text(environment.host_environment(plan, host, secrets, archive.commit))
    changed = False
    for name, key, text in (("env", "settings", settings), ("hosts", "hosts", hosts_file(plan))):
        digest = hashlib.sha256(text.encode()).hexdigest()
        if report[key] != digest:
            local = environment.state_folder(plan) / f"{host.name}.{name}"
            write_private(local, text)
            machine.upload(local, f"{UPLOADS}/{name}")
            report[key], changed = digest, True
    if report["release"] != archive.sha256:
        machine.upload(archive.path, f"{UPLOADS}/project.tar.gz")
        changed = True
    if changed:
        report["release"] = run_script(machine, "install_project", UPLOADS).split()[-1]
    if report["release"] != archive.sha256:
        raise CommandError(f"{host.name}: the upload of the project is damaged: run `up` again")
    if report["built"] != archive.sha256:
        run_script(machine, "services", "build")


def start(machine: Machine, command: str) -> None:
    """Start the services of a machine, with a command of host/services.sh, unless all are healthy."""
    report = machine.report
    is_healthy = report.get("healthy") == report.get("expected", "unknown")
    if not is_healthy or report["started"] != f"{report['release']} {report['settings']}":
        run_script(machine, "services", command)
