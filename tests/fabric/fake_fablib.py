"""Fakes of FABlib's classes that simulate machines, record calls and fail at random steps.

test_real_fablib.py compares all their methods and parameters with those of the real classes.
"""

import hashlib
import random
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path

LOCK = threading.Lock()


class FablibError(Exception):
    """Stands for the many exceptions of FABlib."""


@dataclass
class World:
    """FABRIC with all its slices. A call fails with the probability `chance`, before or after its effect."""

    seed: int = 0
    chance: float = 0.0
    slices: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    submitted: int = 0
    fails_to_allocate: bool = False

    def __post_init__(self):
        self.draw = random.Random(self.seed)

    def fails(self):
        with LOCK:
            return self.draw.random() < self.chance

    def call(self, name, *arguments):
        """Record a call, and fail before its effect, perhaps."""
        with LOCK:
            self.calls.append((name, *arguments))
        if self.fails():
            raise FablibError(f"{name}: connection reset")

    def done(self, name):
        """Fail after the effect of a call, perhaps."""
        if self.fails():
            raise FablibError(f"{name}: timed out")

    def count(self, name):
        return sum(call[0] == name for call in self.calls)


@dataclass
class Machine:
    """State of a simulated virtual machine."""

    booted: bool = False
    addresses: list = field(default_factory=lambda: ["10.0.0.9/24"])  # of the management network
    files: dict = field(default_factory=dict)  # content by path
    modes: dict = field(default_factory=dict)
    docker: bool = False
    gpu_driver: bool = False
    settings: bytes = b""
    hosts: bytes = b""
    release: str = ""
    built: str = ""
    started: str = ""
    running: str = ""
    healthy: bool = False


class FablibManager:
    def __init__(self, world):
        self.world = world

    def get_site_names(self):
        self.world.call("get_site_names")
        return ["STAR", "TACC"]

    def new_slice(self, name, storage=False, storage_cluster=None):
        return Slice(self.world, name)

    def get_slices(
        self, excludes=None, slice_name=None, slice_id=None, user_only=True, show_un_submitted=False
    ):
        self.world.call("get_slices")
        return list(self.world.slices)


class Slice:
    def __init__(self, world, name):
        self.world, self.name, self.state = world, name, None
        self.nodes, self.networks = [], []

    def get_name(self):
        return self.name

    def get_state(self):
        return self.state

    def get_lease_end(self):
        return "2026-12-01 12:00:00 +0000"

    def get_error_messages(self):
        return [{"notice": "Insufficient resources", "sliver": None}]

    def add_node(
        self,
        name,
        site=None,
        cores=2,
        ram=8,
        disk=10,
        image=None,
        instance_type=None,
        host=None,
        user_data={},  # noqa: B006 (the default of FABlib)
        avoid=[],  # noqa: B006
        validate=False,
        raise_exception=False,
        storage=False,
        storage_cluster=None,
    ):
        node = Node(self.world, name, site, (cores, ram, disk), image)
        self.nodes.append(node)
        return node

    def add_l2network(
        self,
        name=None,
        interfaces=[],  # noqa: B006 (the default of FABlib)
        type=None,
        subnet=None,
        gateway=None,
        user_data={},  # noqa: B006
    ):
        assert type == "L2Bridge"
        assert [interface.node for interface in interfaces] == self.nodes
        for interface in interfaces:
            interface.prefix = subnet.prefixlen
        self.networks.append(name)

    def validate(self, raise_exception=True):
        self.world.call("validate")
        return True, {}

    def submit(
        self,
        wait=True,
        wait_timeout=1800,
        wait_interval=20,
        progress=True,
        wait_jupyter="text",
        post_boot_config=True,
        wait_ssh=True,
        extra_ssh_keys=None,
        lease_start_time=None,
        lease_end_time=None,
        lease_in_hours=None,
        validate=False,
    ):
        self.world.call("submit", lease_in_hours)
        assert not self.world.slices, "a second slice was requested"
        self.state = "StableError" if self.world.fails_to_allocate else "Configuring"
        self.world.slices.append(self)
        self.world.submitted += 1
        self.world.done("submit")

    def wait(self, timeout=360, interval=10, progress=False):
        self.world.call("wait")
        if self.state == "StableError":
            raise FablibError("Slice Exception: Insufficient resources")
        self.state = "StableOK"
        self.world.done("wait")

    def wait_ssh(self, timeout=1800, interval=20, progress=False):
        self.world.call("wait_ssh")
        for node in self.nodes:
            node.machine.booted = True

    def get_nodes(self, refresh=False, site=None, filter_function=None):
        return list(self.nodes)

    def delete(self):
        self.world.call("delete")
        self.state = "Closing"
        if self in self.world.slices:
            self.world.slices.remove(self)
        self.world.done("delete")

    def save(self, filename):
        Path(filename).write_text("<graphml/>")


class Node:
    def __init__(self, world, name, site, size, image):
        self.world, self.name, self.site, self.size, self.image = world, name, site, size, image
        self.machine, self.components = Machine(), []

    def get_name(self):
        return self.name

    def get_site(self):
        return self.site

    def get_requested_cores(self):
        return self.size[0]

    def get_requested_ram(self):
        return self.size[1]

    def get_requested_disk(self):
        return self.size[2]

    def get_ssh_command(self):
        return f"ssh debian@{self.name}"

    def add_component(self, model=None, name=None, user_data={}):  # noqa: B006
        self.components.append(Component(self, model))
        return self.components[-1]

    def config(self, log_dir=".", refresh=False):
        self.world.call("config", self.name)
        interface = self.components[0].interface
        assert interface.mode == "config"
        address = f"{interface.address}/{interface.prefix}"
        if address not in self.machine.addresses:
            self.machine.addresses.append(address)
        self.world.done("config")
        return "Done"

    def upload_file(self, local_file_path, remote_file_path=".", retry=3, retry_interval=10):
        self.world.call("upload_file", self.name, remote_file_path)
        source = Path(local_file_path)
        content = source.read_bytes()
        assert "setup" in self.machine.files, "the private folder does not exist"
        if self.world.fails():
            self.machine.files[remote_file_path] = content[: len(content) // 2]
            raise FablibError("upload_file: connection reset")
        self.machine.files[remote_file_path] = content
        self.machine.modes[remote_file_path] = source.stat().st_mode & 0o777
        self.world.done("upload_file")

    def execute(
        self,
        command,
        retry=3,
        retry_interval=10,
        username=None,
        private_key_file=None,
        private_key_passphrase=None,
        quiet=False,
        read_timeout=10,
        timeout=None,
        output_file=None,
        display=True,
    ):
        assert retry == 1, "FABlib would start the command again"
        assert self.machine.booted
        self.world.call("execute", self.name, command)
        command, _, printed = command.partition("; echo ")
        assert printed == "vaxpulse-exit-status=$?"
        if self.world.fails():
            return "", f"{command}: no space left on device\n"  # the connection broke
        status, output = 0, ""
        try:
            output = self.run(command)
        except OSError as error:
            status, output = 1, f"{error}\n"
        self.world.done("execute")
        if self.world.fails():
            status, output = 1, "killed\n"
        return f"{output}vaxpulse-exit-status={status}\n", output if status else ""

    def run(self, command):
        """Simulate one of the commands of deploy.fabric.machines."""
        machine = self.machine
        if command == "install -d -m 700 vaxpulse-setup":
            machine.files["setup"] = b""
            return ""
        script, arguments = re.fullmatch(r"sudo bash vaxpulse-setup/(\w+)\.sh ?(.*)", command).groups()
        if f"vaxpulse-setup/{script}.sh" not in machine.files:
            raise OSError(f"bash: vaxpulse-setup/{script}.sh: No such file or directory")
        return getattr(self, f"run_{script}")(arguments)

    def run_digest(self):
        """Return the digest of the uploaded scripts."""
        scripts = [content for path, content in sorted(self.machine.files.items()) if path.endswith(".sh")]
        return hashlib.sha256(b"".join(scripts)).hexdigest()

    def run_install_docker(self, _):
        self.machine.docker = True
        return "docker 20.10\n"

    def run_install_gpu(self, _):
        assert any(component.model.startswith("GPU_") for component in self.components)
        self.machine.gpu_driver = True
        return ""

    def run_install_project(self, _):
        machine = self.machine
        take = machine.files.pop
        machine.settings = take("vaxpulse-setup/env", machine.settings)
        machine.hosts = take("vaxpulse-setup/hosts", machine.hosts)
        if archive := take("vaxpulse-setup/project.tar.gz", b""):
            machine.release = hashlib.sha256(archive).hexdigest()
        return f"release {machine.release}\n"

    def run_services(self, command):
        machine = self.machine
        if command == "build":
            assert machine.docker
            assert machine.settings
            machine.built = machine.release
            return "build done\n"
        if machine.built != machine.release:
            raise OSError("no image")
        machine.running = machine.release
        if command == "wait":
            head = self.world.slices[0].nodes[0].machine
            if head.running != machine.release:
                raise OSError("airflow-apiserver does not respond")
            machine.healthy = True
            machine.started = f"{machine.release} {hashlib.sha256(machine.settings).hexdigest()}"
        return f"{command} done\n"

    def run_report(self, _):
        machine = self.machine
        digests = {
            name: hashlib.sha256(content).hexdigest() if content else ""
            for name, content in (("settings", machine.settings), ("hosts", machine.hosts))
        }
        lines = [
            f"addresses={' '.join(machine.addresses)}",
            f"scripts={self.run_digest()}",
            f"docker={'20.10' if machine.docker else ''}",
            f"gpu={'Quadro RTX 6000' if machine.gpu_driver else ''}",
            f"built={machine.built}",
            f"started={machine.started}",
            f"release={machine.release}",
            *(f"{name}={digest}" for name, digest in digests.items()),
        ]
        if machine.release and machine.docker:
            lines += ["expected=2", f"healthy={2 if machine.healthy else 0}"]
            lines += [f"unhealthy={'' if machine.healthy else 'datanode spark-worker'}"]
        return "\n".join(lines) + "\n"


class Component:
    def __init__(self, node, model):
        self.node, self.model = node, model
        self.interface = Interface(node)

    def get_interfaces(self, include_subs=True, refresh=False, output="list"):
        return [self.interface]


class Interface:
    def __init__(self, node):
        self.node, self.mode, self.address, self.prefix = node, "manual", None, None

    def set_mode(self, mode="config"):
        self.mode = mode

    def set_ip_addr(self, addr=None, mode=None):
        self.address = addr
