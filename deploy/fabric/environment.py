"""Settings and secrets of each host: its .env for Docker Compose."""

import os
import shutil
from pathlib import Path

from deploy.common.checkout import REPOSITORY
from deploy.fabric.planning import DATANODE, HEAD, SPARK_WORKER, TRAINING, Host, Plan
from deploy.stack import settings

# Secrets that the services of a profile use. The head uses all.
SECRETS = {
    DATANODE: {"DATANODE_HEADER"},
    SPARK_WORKER: set(),
    TRAINING: {"REDIS_PASSWORD", "MLFLOW_PASSWORD", "STUDIES_DATABASE_PASSWORD", "AIRFLOW_SECRET_KEY"},
}
HOSTS_FILE = "/etc/vaxpulse/hosts"  # on each machine
GPU_FILE = "deploy/fabric/compose.gpu.yaml"
SYSTEM_GB = 3  # memory of a machine for the system, the DataNode and Docker
MAX_REPLICATION = 2  # the default of docker-compose.yaml


def state_folder(plan: Plan) -> Path:
    """Return the folder with the secrets and addresses of a slice on this machine."""
    home = Path(os.environ.get("VAXPULSE_HOME") or REPOSITORY / "var").absolute()
    return home / "fabric" / plan.specification.name


def secrets_file(plan: Plan) -> Path:
    """Return the file with the secrets of a slice."""
    return state_folder(plan) / "secrets.env"


def load_or_create_secrets(plan: Plan) -> dict[str, str]:
    """Return the secrets of a slice and its first day. They are generated once, into a private file."""
    folder = state_folder(plan)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    generated = {
        name: value
        for name, value in settings.new_environment(gpu=False).items()
        if name == "VAXPULSE_START_DATE" or not name.startswith(("VAXPULSE_", "COMPOSE_"))
    }
    file = secrets_file(plan)
    settings.complete_environment(file, generated)
    found = settings.read_environment(file)
    return {name: found[name] for name in generated}


def forget(plan: Plan) -> None:
    """Delete the secrets and addresses of a slice from this machine."""
    shutil.rmtree(state_folder(plan), ignore_errors=True)


def host_environment(plan: Plan, host: Host, secrets: dict[str, str], commit: str) -> dict[str, str]:
    """Return the variables of a host: its services, its address, sizes, and only the secrets that it uses."""
    if HEAD in host.profiles:
        shown = secrets
    else:
        used = set().union(*(SECRETS[profile] for profile in host.profiles))
        shown = {name: value for name, value in secrets.items() if name in used | {"VAXPULSE_START_DATE"}}
    files = ["docker-compose.yaml", "docker-compose.fabric.yaml", *([GPU_FILE] if host.gpu else [])]
    return {
        "COMPOSE_FILE": ":".join(files),
        "COMPOSE_PROFILES": ",".join(host.profiles),
        "VAXPULSE_COMMIT": commit,
        "VAXPULSE_NODE_NAME": host.name,
        "VAXPULSE_NODE_ADDRESS": str(host.ip),
        "VAXPULSE_HOSTS_FILE": HOSTS_FILE,
        **container_images(plan),
        **sizes(plan, host),
        **shown,
    }


def container_images(plan: Plan) -> dict[str, str]:
    """Return the variables that replace base images."""
    images = plan.specification.container_images.model_dump(exclude_none=True)
    return {f"VAXPULSE_{name.upper()}_IMAGE": image for name, image in images.items()}


def sizes(plan: Plan, host: Host) -> dict[str, str]:
    """Return cores and memory of Spark's workers and executors, limits of containers, and the replication.

    Executors get half of the memory as heap, because their Python processes need the other half, and half of
    the cores of a machine. A job gets half of all cores, so that two jobs run at once.
    """
    workers = plan.specification.workers
    heap = workers.memory_gb // 2
    executor_cores = max(1, workers.cores // 2)
    return {
        "VAXPULSE_HDFS_REPLICATION": str(min(MAX_REPLICATION, workers.datanodes)),
        "VAXPULSE_SPARK_WORKER_CORES": str(workers.cores),
        "VAXPULSE_SPARK_WORKER_MEMORY": f"{heap}g",
        "VAXPULSE_SPARK_WORKER_LIMIT": f"{workers.memory_gb - SYSTEM_GB}g",
        "VAXPULSE_SPARK_APPLICATION_CORES": str(executor_cores * workers.spark_workers),
        "VAXPULSE_SPARK_EXECUTOR_CORES": str(executor_cores),
        "VAXPULSE_SPARK_EXECUTOR_MEMORY": f"{max(1, heap * executor_cores // workers.cores)}g",
        **(
            {"VAXPULSE_GPU_WORKER_LIMIT": f"{host.size.memory_gb - SYSTEM_GB}g"}
            if TRAINING in host.profiles
            else {}
        ),
    }


def to_text(variables: dict[str, str]) -> str:
    """Return the content of .env."""
    return "".join(f"{name}={value}\n" for name, value in variables.items())
