"""`up`, `status` and `down` of a slice. Each can be repeated."""

import json
from collections.abc import Callable

from deploy.common.deployment import ADMIN
from deploy.common.errors import CommandError
from deploy.common.files import write_private
from deploy.common.steps import step
from deploy.fabric import environment, machines
from deploy.fabric.adapter import FAILED_STATES, Machine, Testbed
from deploy.fabric.planning import DATANODE, HEAD, SPARK_WORKER, TRAINING, Plan
from deploy.fabric.project import Archive
from deploy.fabric.rendering import describe, steps, table
from deploy.stack import settings

Confirm = Callable[[str], bool]
# Pages on the head, by local port. Spark's master has another port than on a single host.
PAGES = {
    "Airflow": 8080,
    "MLflow": 5000,
    "NameNode": 9870,
    "Spark master": 8081,
    "Spark History Server": 18080,
}


def up(testbed: Testbed, plan: Plan, archive: Archive, confirm: Confirm) -> None:
    """Create the slice, prepare its machines and start the stack. Finished steps are skipped.

    Raises:
        CommandError: a step failed. Another call goes on with the first step that is not done.
    """
    name = plan.specification.name
    active = testbed.find(plan)
    if active is None:
        print(describe(plan), *steps(plan), sep="\n")
        if not confirm(f"Create the slice {name} on FABRIC?"):
            raise CommandError("nothing was created")
        with step(f"request the slice {name}"):
            active = testbed.create(plan)
    with step("wait for SSH on all machines"):
        testbed.wait_until_ready(active)
    found = testbed.machines(active, plan)
    with step("configure the network"):
        machines.on_all(found, machines.configure_network)
    require_secrets(plan, found[0])
    secrets = environment.load_or_create_secrets(plan)
    with step("install Docker and the project, build images (minutes, once)"):
        machines.on_all(found, lambda machine: machines.prepare(machine, plan, archive, secrets))
    start_services(found)
    print(describe_access(plan, secrets, found[0]))


def require_secrets(plan: Plan, head: Machine) -> None:
    """Raise CommandError if the databases have passwords that this machine does not know."""
    file = environment.secrets_file(plan)
    if not file.exists() and head.report["settings"]:
        raise CommandError(f"{file} is missing: copy it from the machine on which `up` created the slice")


def start_services(found: list[Machine]) -> None:
    """Start the services of all machines in the order in which they need each other."""

    def with_profiles(*profiles: str) -> list[Machine]:
        return [machine for machine in found if set(profiles) & set(machine.host.profiles)]

    workers = with_profiles(DATANODE, SPARK_WORKER)
    with step("start DataNodes and Spark workers"):
        # The NameNode of a restarted head waits for their blocks, and they wait for the NameNode.
        machines.on_all(workers, lambda machine: machines.start(machine, "start"))
    with step("start the head"):
        machines.on_all(with_profiles(HEAD), lambda machine: machines.start(machine, "wait"))
    with step("start the trainer, wait for all services"):
        machines.on_all([*with_profiles(TRAINING), *workers], lambda machine: machines.start(machine, "wait"))


def describe_access(plan: Plan, secrets: dict[str, str], head: Machine) -> str:
    """Write credentials.json and return how to reach the pages, which listen on the slice's network only."""
    file = environment.state_folder(plan) / "credentials.json"
    write_private(file, json.dumps(settings.credentials(secrets), indent=2))
    forwards = " ".join(f"-L {port}:{plan.head.ip}:{port}" for port in PAGES.values())
    pages = [f"{name:<21} http://127.0.0.1:{port}" for name, port in PAGES.items()]
    return "\n".join(
        [
            "the stack runs. The pages are reachable through a tunnel:",
            f"  {head.ssh_command()} -N {forwards}",
            *pages,
            f"user {ADMIN}, passwords in {file}",
        ]
    )


def status(testbed: Testbed, plan: Plan) -> str:
    """Return the state of the slice and of each machine. It changes nothing on the testbed."""
    name = plan.specification.name
    found = testbed.slices(name)
    if not found:
        return f"there is no slice {name}\n"
    active = found[0]
    lines = [f"slice {name}: {active.get_state()}, lease until {active.get_lease_end()}"]
    if active.get_state() in FAILED_STATES:
        return "\n".join([*lines, "run `down`, then `up`"]) + "\n"
    rows: list[tuple[str, ...]] = [("host", "services", "address", "docker", "healthy", "problem")]
    rows += [describe_machine(machine) for machine in testbed.machines(active, plan)]
    return "\n".join([*lines, *table(rows)]) + "\n"


def describe_machine(machine: Machine) -> tuple[str, ...]:
    """Return the row of a machine in the status."""
    host = machine.host
    start_of_row = (host.name, ", ".join(host.profiles), str(host.ip))
    try:
        report = machines.read_report(machine)
    except CommandError as error:
        return (*start_of_row, "-", "-", str(error))
    healthy = f"{report.get('healthy', '0')} of {report.get('expected', '?')}"
    problem = report.get("unhealthy", "")
    if str(host.address) not in report["addresses"].split():
        problem = "the address is not configured"
    return (*start_of_row, report["docker"] or "-", healthy, problem)


def down(testbed: Testbed, plan: Plan, confirm: Confirm) -> None:
    """Delete the slice with all data, then the secrets on this machine."""
    name = plan.specification.name
    if testbed.slices(name):
        if not confirm(f"Delete the slice {name} with all tables, runs and models?"):
            raise CommandError("nothing was deleted")
        with step(f"delete the slice {name}"):
            testbed.delete(name)
    # Last, because a slice that still exists needs them.
    environment.forget(plan)
    print(f"there is no slice {name}")
