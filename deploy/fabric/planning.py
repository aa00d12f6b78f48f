"""Hosts of a slice with their roles, sizes and fixed addresses. It needs neither FABlib nor a network."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

from deploy.fabric.specification import Machine, Specification

HEAD, DATANODE, SPARK_WORKER, TRAINING = "head", "datanode", "spark-worker", "training"
# Names under which other hosts connect to services of the head: the service names of docker-compose.yaml.
HEAD_SERVICES = (
    "postgres", "redis", "namenode", "spark-master", "spark-history", "mlflow", "airflow-apiserver",
)  # fmt: skip
NIC_MODEL = "NIC_Basic"  # a shared 100 Gbit/s port; every project may use it


@dataclass(frozen=True)
class Host:
    """A virtual machine. Its name is also its host name."""

    name: str
    profiles: tuple[str, ...]  # of docker-compose.fabric.yaml: the services that it runs
    address: IPv4Interface
    size: Machine
    gpu: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def ip(self) -> IPv4Address:
        """Return its address without the prefix length."""
        return self.address.ip


@dataclass(frozen=True)
class Plan:
    """All hosts of a slice."""

    specification: Specification
    hosts: tuple[Host, ...]

    def with_profile(self, profile: str) -> tuple[Host, ...]:
        """Return the hosts that run a profile."""
        return tuple(host for host in self.hosts if profile in host.profiles)

    @property
    def head(self) -> Host:
        """Return the host of the databases, the NameNode, Spark's master, MLflow and Airflow."""
        return self.with_profile(HEAD)[0]

    @property
    def training(self) -> Host:
        """Return the host of the Celery worker that trains."""
        return self.with_profile(TRAINING)[0]


def make_plan(specification: Specification) -> Plan:
    """Return the hosts of a slice.

    Addresses are assigned in order. The workers are last, so that their number does not change the others.
    """
    subnet = specification.network.subnet
    addresses = (IPv4Interface(f"{ip}/{subnet.prefixlen}") for ip in subnet.hosts())
    workers = specification.workers
    hosts = [
        Host("head", (HEAD,), next(addresses), specification.head, aliases=HEAD_SERVICES),
        Host("training", (TRAINING,), next(addresses), specification.training, specification.training.gpu),
    ]
    for number in range(1, workers.machines + 1):
        profiles = [DATANODE] * (number <= workers.datanodes)
        profiles += [SPARK_WORKER] * (number <= workers.spark_workers)
        hosts.append(Host(f"worker-{number}", tuple(profiles), next(addresses), workers))
    return Plan(specification, tuple(hosts))


def hosts_file(plan: Plan) -> str:
    """Return /etc/hosts of all containers.

    Docker's own file would contain the line `127.0.1.1 <host name>` of the machine, so that a Spark worker
    would listen on loopback.
    """
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    lines += [" ".join((str(host.ip), host.name, *host.aliases)) for host in plan.hosts]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Totals:
    """Resources of a slice."""

    machines: int
    cores: int
    memory_gb: int
    disk_gb: int
    gpus: int


def total(plan: Plan) -> Totals:
    """Return the sum of all hosts."""
    sizes = [host.size for host in plan.hosts]
    return Totals(
        machines=len(sizes),
        cores=sum(size.cores for size in sizes),
        memory_gb=sum(size.memory_gb for size in sizes),
        disk_gb=sum(size.disk_gb for size in sizes),
        gpus=sum(host.gpu is not None for host in plan.hosts),
    )
