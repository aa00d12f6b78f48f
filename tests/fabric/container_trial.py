"""Run `up`, `status` and `down` on containers: `python -m tests.fabric.container_trial COMMAND`.

up          three containers of bare Debian become the hosts of one slice: head, training, worker-1
status      what `make fabric-status` shows
sample      load generated tweets on the head, wait for all runs, check tables, models and scores
evidence    containers of each host, where DataNode, Spark worker and blocks are, connections, and listeners
down        delete everything

The classes have the interface of FABlib that deploy.fabric.adapter uses, so that the same code and scripts
run as on FABRIC. Each container has its own Docker engine, a network for its packages, which stands for the
management network, and the network of the slice. It needs Docker, root, and the images of CONTAINER_IMAGES.
"""

import argparse
import ipaddress
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.common import sample_dump
from deploy.common.errors import CommandError
from deploy.fabric import converge
from deploy.fabric.adapter import Testbed
from deploy.fabric.planning import make_plan
from deploy.fabric.project import write_archive
from deploy.fabric.specification import load

LABEL = "vaxpulse-trial"
BASE_IMAGE = "debian:bookworm-slim"
CONTAINER_IMAGES = {
    "debian": BASE_IMAGE,
    "postgres": "postgres:16-bookworm",
    "redis": "redis:7-bookworm",
}
SPECIFICATION = {
    "name": LABEL,
    "site": "STAR",
    "head": {"cores": 4, "memory_gb": 16, "disk_gb": 100},
    "workers": {"datanodes": 1, "spark_workers": 1, "cores": 2, "memory_gb": 8, "disk_gb": 50},
    "training": {"cores": 4, "memory_gb": 16, "disk_gb": 50, "gpu": None},
    "network": {"subnet": "192.168.77.0/29"},
    "container_images": CONTAINER_IMAGES,
}
# What Docker needs to run in a container. `--privileged` fails if the engine itself has no SYS_RESOURCE.
NESTED = (
    *("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--device-cgroup-rule", "a *:* rwm"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--security-opt", "systempaths=unconfined"),
)
MAKE_MACHINE = """
for folder in /sys /sys/fs/cgroup /sys/fs/cgroup/*; do
  ! mountpoint --quiet $folder || mount -o remount,rw,bind $folder
done
command -v sudo >/dev/null && command -v ip >/dev/null || {
  apt-get -qq update && apt-get -qq -y install --no-install-recommends sudo iproute2 >/dev/null
}
"""
HEAD_PORTS = {"Redis": 6379, "NameNode": 8020, "Spark master": 7077}
NAME_SERVERS = "/root/resolv.conf"
SAMPLE_TWEETS, SAMPLE_SEED = 2000, 27


def docker(*arguments, stdin=None):
    """Return the output of a docker command."""
    done = subprocess.run(["docker", *arguments], stdin=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


class Manager:
    """FABlib's manager."""

    def __init__(self, options):
        self.options = options

    def get_site_names(self):
        return [SPECIFICATION["site"]]

    def get_slices(self, slice_name=None):
        names = docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
        found = json.loads(docker("inspect", *names)) if names else []
        nodes = [Node(**json.loads(container["Config"]["Labels"][LABEL])) for container in found]
        return [Slice(self.options, slice_name, sorted(nodes, key=lambda node: node.name))] if nodes else []

    def new_slice(self, name):
        return Slice(self.options, name, [])


class Slice:
    """FABlib's slice."""

    def __init__(self, options, name, nodes):
        self.options, self.name, self.nodes = options, name, nodes

    def get_name(self):
        return self.name

    def get_state(self):
        return "StableOK"

    def get_lease_end(self):
        return "never"

    def get_nodes(self):
        return self.nodes

    def add_node(self, name, site, cores, ram, disk, image):
        self.nodes.append(Node(name, site, cores, ram, disk, ""))
        return self.nodes[-1]

    def add_l2network(self, name, interfaces, type, subnet):
        for interface in interfaces:
            interface.prefix = subnet.prefixlen

    def validate(self, raise_exception):
        pass

    def submit(self, **_):
        subnet = ipaddress.IPv4Interface(self.nodes[0].address).network
        # The last address is the bridge of Docker, which takes the first one by default.
        docker(
            "network", "create", "--internal", "--subnet", str(subnet), "--gateway", str(subnet[-2]), LABEL
        )
        for node in self.nodes:
            label = json.dumps(vars(node))
            limits = ["--cgroup-parent", self.options.cgroup_parent] if self.options.cgroup_parent else []
            volume = ["--volume", f"{LABEL}-{node.name}:/var/lib/docker"]
            run = ["run", "--detach", *NESTED, "--name", node.container, "--hostname", node.name]
            docker(*run, *limits, *volume, "--label", f"{LABEL}={label}", BASE_IMAGE, "sleep", "infinity")

    def wait(self, **_):
        pass

    def wait_ssh(self, **_):
        """Let Docker write to /sys, and install the packages that FABRIC's image has and Docker's has not."""
        for node in self.nodes:
            docker("exec", node.container, "bash", "-c", MAKE_MACHINE)

    def delete(self):
        for node in self.nodes:
            docker("rm", "--force", "--volumes", node.container)
            docker("volume", "rm", f"{LABEL}-{node.name}")
        docker("network", "rm", LABEL)


class Node:
    """FABlib's node, with its component and interface."""

    def __init__(self, name, site, cores, ram, disk, address):
        self.name, self.site, self.cores, self.ram, self.disk = name, site, cores, ram, disk
        self.address = address

    @property
    def container(self):
        return f"{LABEL}-{self.name}"

    def get_name(self):
        return self.name

    def get_site(self):
        return self.site

    def get_requested_cores(self):
        return self.cores

    def get_requested_ram(self):
        return self.ram

    def get_requested_disk(self):
        return self.disk

    def get_ssh_command(self):
        return f"docker exec --interactive {self.container}"

    def add_component(self, model, name):
        return self

    def get_interfaces(self):
        return [self]

    def set_mode(self, mode):
        pass

    def set_ip_addr(self, addr):
        self.address = f"{addr}/{self.__dict__.pop('prefix')}"

    def config(self):
        """Connect the container to the slice's network. Keep the name servers of the management network.

        Docker would replace them by a server on 127.0.0.11, which BuildKit ignores when it builds an image.
        """
        docker("exec", self.container, "cp", "/etc/resolv.conf", NAME_SERVERS)
        docker("network", "connect", "--ip", self.address.partition("/")[0], LABEL, self.container)
        docker("exec", self.container, "cp", NAME_SERVERS, "/etc/resolv.conf")

    def upload_file(self, source, target, retry):
        docker("cp", source, f"{self.container}:/root/{target}")

    def execute(self, command, retry, quiet):
        print(f"    {self.name}: {command.partition(';')[0]}", flush=True)
        run = ["docker", "exec", "--workdir", "/root", self.container, "bash", "-c", command]
        done = subprocess.run(run, capture_output=True, text=True, check=False)
        if "install_docker" in command:
            self.load_images()
        return done.stdout, done.stderr

    def load_images(self):
        """Copy the base images, as a mirror would provide them."""
        with tempfile.TemporaryFile() as archive:
            subprocess.run(["docker", "save", *CONTAINER_IMAGES.values()], stdout=archive, check=True)
            archive.seek(0)
            docker("exec", "--interactive", self.container, "docker", "load", stdin=archive)


def load_sample(plan, *, train):
    """Load generated tweets with the check of `make stack-smoke`, in a container of the head."""
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder, "sample.csv")
        sample_dump.write_dump(SAMPLE_TWEETS, SAMPLE_SEED, dump)
        land = "python -m tests.stack_acceptance.pipeline land sample.csv" + " --without-training" * (
            not train
        )
        command = f"cd /srv/vaxpulse/current && docker compose run --rm --no-TTY client {land}"
        run = ["docker", "exec", "--interactive", f"{LABEL}-{plan.head.name}", "bash", "-c", command]
        with dump.open("rb") as content:
            if subprocess.run(run, stdin=content, check=False).returncode:
                raise CommandError("the sample did not go through: see the lines above")


def show_evidence(plan):
    """Print containers, members of HDFS and Spark, and connections. Check the addresses of all listeners."""
    for host in plan.hosts:
        names = on_host(host, "docker", "ps", "--format", "{{.Names}}").split()
        services = sorted(name.removeprefix("vaxpulse-").removesuffix("-1") for name in names)
        print(f"{host.name} {host.ip} runs {', '.join(services)}")
    query = "http://namenode:9870/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo"
    for name, node in json.loads(fetch_json(plan, query)["beans"][0]["LiveNodes"]).items():
        print(f"HDFS: {name}, {node['xferaddr']}, {node['adminState']}, {node['numBlocks']} blocks")
    for worker in fetch_json(plan, "http://spark-master:8081/json/")["workers"]:
        executors = fetch_json(plan, f"{worker['webuiaddress']}/json/")["finishedexecutors"]
        applications = {executor["appid"] for executor in executors}
        print(
            f"Spark: {worker['host']}:{worker['port']}, {worker['state']}, {worker['cores']} cores, "
            f"{len(executors)} finished executors of {len(applications)} applications"
        )
    for name, port in HEAD_PORTS.items():
        peers = {peer for peer in connected(plan.head, port) if peer != str(plan.head.ip)}
        print(f"connections to {name} on {plan.head.ip}:{port} from {', '.join(sorted(peers)) or '-'}")
    wrong = []
    for host in plan.hosts:
        lines = on_host(host, "ss", "--tcp", "--listening", "--numeric", "--no-header")
        listeners = sorted({line.split()[3] for line in lines.splitlines()})
        print(host.name, host.ip, "listens on", " ".join(listeners))
        for listener in listeners:
            address = address_of(listener)
            if address != str(host.ip) and not address.startswith("127.") and address != "::1":
                wrong.append(f"{host.name}: {listener}")
    if wrong:
        raise CommandError(f"listeners on other addresses: {', '.join(wrong)}")
    print("all listeners have the address of the slice's network, or are on loopback")


def on_host(host, *command):
    """Return the output of a command on a host."""
    return docker("exec", f"{LABEL}-{host.name}", *command)


def fetch_json(plan, url):
    """Return what a service answers to a container of the head."""
    return json.loads(on_host(plan.head, "docker", "exec", "vaxpulse-spark-master-1", "curl", "-fsS", url))


def connected(host, port):
    """Return the addresses that are connected to a port of a host."""
    command = ["ss", "--tcp", "--numeric", "--no-header", "state", "established", f"sport = :{port}"]
    return [address_of(line.split()[3]) for line in on_host(host, *command).splitlines()]


def address_of(endpoint):
    """Return the address in an endpoint that ss prints."""
    return endpoint.rpartition(":")[0].strip("[]").removeprefix("::ffff:")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["up", "status", "sample", "evidence", "down"])
    parser.add_argument("--without-training", action="store_true", help="sample: train nothing")
    parser.add_argument("--cgroup-parent", help="control group of the containers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "slice.yaml")
        file.write_text(json.dumps(SPECIFICATION))
        plan = make_plan(load(file))
        testbed = Testbed(Manager(options))
        testbed.poll_seconds = 1
        try:
            if options.command == "up":
                converge.up(testbed, plan, write_archive(Path(folder)), lambda _: True)
            elif options.command == "status":
                print(converge.status(testbed, plan), end="")
            elif options.command == "down":
                converge.down(testbed, plan, lambda _: True)
            elif options.command == "sample":
                load_sample(plan, train=not options.without_training)
            else:
                show_evidence(plan)
        except (CommandError, OSError) as error:
            print(f"trial: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
