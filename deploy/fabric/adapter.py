"""The only module that uses FABlib.

FABlib is imported late: the import takes 20 s on a busy machine, and only `.fabric` has FABlib.
"""

import contextlib
import importlib.resources
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.common.errors import CommandError
from deploy.fabric.catalog import Catalog
from deploy.fabric.planning import NIC_MODEL, Host, Plan

# Objects of FABlib have the type Any: it has no stubs, and the tests pass fakes.
WAIT_SECONDS, POLL_SECONDS = 1800, 20
FAILED_STATES = ("StableError", "ModifyError", "AllocatedError")
STATUS = "vaxpulse-exit-status="


@contextlib.contextmanager
def explain(action: str) -> Iterator[None]:
    """Convert any error of FABlib, which raises many types, to a CommandError."""
    try:
        yield
    except CommandError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CommandError(f"{action} failed: {lines[-1]}") from error


def read_catalog() -> Catalog:
    """Return the names and sizes of the installed FABlib."""
    from fabrictestbed_extensions.fablib.constants import Constants

    # FIM has no method that returns all sizes.
    file = importlib.resources.files("fim.slivers") / "data" / "instance_sizes.json"
    sizes = json.loads(file.read_text()).values()
    return Catalog(
        gpu_models=frozenset(model for model in Constants.COMPONENT_MODELS if model.startswith("GPU_")),
        login_of_image={name: image["default_user"] for name, image in Constants.IMAGE_NAMES.items()},
        max_cores=max(size["core"] for size in sizes),
        max_memory_gb=max(size["ram"] for size in sizes),
        max_disk_gb=max(size["disk"] for size in sizes),
    )


def connect() -> Any:
    """Return FABlib's manager with the credentials of FABlib's own configuration."""
    from fabrictestbed_extensions.fablib.fablib import FablibManager

    with explain("the login to FABRIC (see `fabric_rc` in docs/fabric.md)"):
        return FablibManager()


def offline_manager(folder: Path) -> Any:
    """Return a manager that builds topologies without credentials. `folder` gets its log."""
    from fabrictestbed_extensions.fablib.fablib import FablibManager

    logging.disable(logging.WARNING)  # about the missing configuration
    return FablibManager(
        offline=True,
        validate_config=False,
        no_ssh=True,
        bastion_username="nobody",
        project_id="none",
        log_file=str(folder / "fablib.log"),
        data_dir=str(folder),
    )


def build_topology(manager: Any, plan: Plan) -> Any:
    """Return a new slice with the hosts and the network of a plan. It is not submitted."""
    specification = plan.specification
    made = manager.new_slice(name=specification.name)
    interfaces = []
    for host in plan.hosts:
        size = host.size
        node = made.add_node(
            name=host.name,
            site=specification.site,
            cores=size.cores,
            ram=size.memory_gb,
            disk=size.disk_gb,
            image=specification.image,
        )
        [interface] = node.add_component(model=NIC_MODEL, name="nic").get_interfaces()
        if host.gpu:
            node.add_component(model=host.gpu, name="gpu")
        interface.set_mode("config")  # FABlib configures the address below when the machine has booted
        interfaces.append(interface)
    network = specification.network
    made.add_l2network(name=network.name, interfaces=interfaces, type="L2Bridge", subnet=network.subnet)
    for host, interface in zip(plan.hosts, interfaces, strict=True):
        interface.set_ip_addr(addr=host.ip)
    return made


class Machine:
    """A virtual machine that accepts commands."""

    def __init__(self, host: Host, node: Any) -> None:
        """`node` is FABlib's node of a host."""
        self.host, self.node = host, node
        self.report: dict[str, str] = {}  # of deploy.fabric.machines

    def run(self, command: str) -> str:
        """Return the output of a shell command.

        Raises:
            CommandError: the machine cannot be reached, or the command failed. FABlib itself returns no exit
                status, so the command prints it.
        """
        with explain(f"{self.host.name}: connection"):
            # One try: FABlib's own retries would start a long command again while the first one still runs.
            output, errors = self.node.execute(f"{command}; echo {STATUS}$?", retry=1, quiet=True)
        output, found, status = output.rpartition(STATUS)
        if not found or status.strip() != "0":
            lines = [line for line in (errors or output).strip().splitlines() if line.strip()]
            raise CommandError(f"{self.host.name}: {lines[-1] if lines else 'connection lost'} (`{command}`)")
        return str(output)

    def upload(self, source: Path, target: str) -> None:
        """Copy a file to a path in the login folder."""
        with explain(f"{self.host.name}: upload of {source.name}"):
            self.node.upload_file(str(source), target, retry=1)

    def ssh_command(self) -> str:
        """Return a command that logs in, through FABRIC's bastion host."""
        with explain(f"{self.host.name}: the command for SSH"):
            return str(self.node.get_ssh_command())

    def configure_network(self) -> None:
        """Let FABlib set host name and address. FABlib documents that this can be repeated."""
        with explain(f"{self.host.name}: configuration of the network"):
            self.node.config()


class Testbed:
    """FABRIC, as seen by `up`, `status` and `down`."""

    __test__ = False  # not a test of pytest
    wait_seconds, poll_seconds = WAIT_SECONDS, POLL_SECONDS

    def __init__(self, manager: Any) -> None:
        """`manager` is FABlib's manager."""
        self.manager = manager

    def slices(self, name: str) -> list[Any]:
        """Return the own slices with a name that are neither dead nor closing."""
        with explain("the list of slices"):
            return [found for found in self.manager.get_slices(slice_name=name) if found.get_name() == name]

    def find(self, plan: Plan) -> Any | None:
        """Return the slice of a plan, or None. Raise CommandError if FABRIC could not create it."""
        found = self.slices(plan.specification.name)
        if not found:
            return None
        state = found[0].get_state()
        if state in FAILED_STATES:
            with explain("the errors of the slice"):
                notices = [error["notice"] for error in found[0].get_error_messages()]
            reason = "; ".join(notices) or "no reason given"
            raise CommandError(
                f"FABRIC could not create the slice ({state}): {reason}. Run `down`, then `up`"
            )
        return found[0]

    def create(self, plan: Plan) -> Any:
        """Submit a new slice after FABlib has compared it with the free resources."""
        name = plan.specification.name
        with explain(f"the request of the slice {name}"):
            if plan.specification.site not in self.manager.get_site_names():
                raise CommandError(f"site: FABRIC has no site {plan.specification.site} today")
            made = build_topology(self.manager, plan)
            made.validate(raise_exception=True)
            made.submit(
                wait=False,
                progress=False,
                post_boot_config=False,
                wait_ssh=False,
                lease_in_hours=plan.specification.lease_hours,
            )
        return made

    def wait_until_ready(self, active: Any) -> None:
        """Wait until all machines of a slice accept SSH."""
        with explain("the start of the machines"):
            active.wait(timeout=self.wait_seconds, interval=self.poll_seconds, progress=False)
            active.wait_ssh(timeout=self.wait_seconds, interval=self.poll_seconds, progress=False)

    def machines(self, active: Any, plan: Plan) -> list[Machine]:
        """Return the machines of a slice in the order of the plan.

        Raises:
            CommandError: the slice has other machines than the plan.
        """
        with explain("the list of machines"):
            nodes = {node.get_name(): node for node in active.get_nodes()}
            found = {
                name: (
                    node.get_site(),
                    node.get_requested_cores(),
                    node.get_requested_ram(),
                    node.get_requested_disk(),
                )
                for name, node in nodes.items()
            }
        site = plan.specification.site
        wanted = {
            host.name: (site, host.size.cores, host.size.memory_gb, host.size.disk_gb) for host in plan.hosts
        }
        if found != wanted:
            names = sorted(name for name in found | wanted if found.get(name) != wanted.get(name))
            raise CommandError(
                f"the slice differs from the specification in {', '.join(names)}, and machines cannot be "
                "changed. Restore the specification, or run `down`, which deletes the data, then `up`"
            )
        return [Machine(host, nodes[host.name]) for host in plan.hosts]

    def delete(self, name: str) -> int:
        """Delete all slices with a name, wait until FABRIC does not list them, and return their number."""
        found = self.slices(name)
        for active in found:
            with explain(f"the deletion of the slice {name}"):
                active.delete()
        deadline = time.monotonic() + self.wait_seconds
        while self.slices(name):
            if time.monotonic() > deadline:
                raise CommandError(f"FABRIC still lists the slice {name}: run `down` again")
            time.sleep(self.poll_seconds)
        return len(found)
