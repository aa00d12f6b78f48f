"""Settings of the stack: secrets and ports in .env, and the credentials for users and scripts."""

import json
import os
import secrets
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from pathlib import Path

from deploy.common.checkout import REPOSITORY
from deploy.common.deployment import ADMIN
from deploy.common.errors import CommandError
from deploy.common.files import write_private

ENV_FILE = REPOSITORY / ".env"

# Published on loopback. VAXPULSE_<NAME>_PORT in .env, or in the environment when .env is created, overrides a
# port.
DEFAULT_PORTS = {
    "airflow": 8080,
    "mlflow": 5000,
    "namenode": 9870,
    "spark_master": 8081,
    "spark_history": 18080,
}


def new_environment(*, gpu: bool) -> dict[str, str]:
    """Return the content of a new .env: services to start, ports, and random secrets.

    Args:
        gpu: Docker has the NVIDIA runtime. Otherwise trainings use the CPU.
    """
    databases = ("AIRFLOW_DATABASE_PASSWORD", "MLFLOW_DATABASE_PASSWORD", "STUDIES_DATABASE_PASSWORD")
    passwords = (
        "POSTGRES_PASSWORD",
        *databases,
        "REDIS_PASSWORD",
        "AIRFLOW_PASSWORD",
        "AIRFLOW_WATCH_PASSWORD",
    )
    cpu = {"COMPOSE_FILE": "docker-compose.yaml:docker-compose.cpu.yaml"}
    return {
        **({"COMPOSE_PROFILES": "gpu"} if gpu else cpu),
        "VAXPULSE_START_DATE": datetime.now(UTC).isoformat(timespec="seconds"),
        **{name: os.environ.get(name) or str(port) for name, port in port_variables().items()},
        **{name: secrets.token_urlsafe(24) for name in passwords},
        "DATANODE_HEADER": f"X-{secrets.token_hex(16)}",  # hex digits are valid in header names
        "AIRFLOW_FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW_JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW_SECRET_KEY": secrets.token_urlsafe(24),
        "MLFLOW_PASSWORD": secrets.token_urlsafe(24),
        "MLFLOW_SECRET_KEY": secrets.token_urlsafe(24),
    }


def port_variables() -> dict[str, int]:
    """Return the variable and the default of each published port."""
    return {f"VAXPULSE_{name.upper()}_PORT": port for name, port in DEFAULT_PORTS.items()}


def complete_environment(path: Path, values: dict[str, str]) -> list[str]:
    """Add missing variables to a private file, and return their names. The file may be of an earlier version.

    The services to start (COMPOSE_*) are written to a new file only.
    """
    is_new = not path.exists()
    text = "# Written by `make stack-up`. Contains secrets.\n" if is_new else path.read_text()
    if not text.endswith("\n"):  # an editor may have saved it so
        text += "\n"
    existing = {line.partition("=")[0] for line in text.splitlines()}
    missing = {
        name: value
        for name, value in values.items()
        if name not in existing and (is_new or not name.startswith("COMPOSE_"))
    }
    if missing:
        write_private(path, text + "".join(f"{name}={value}\n" for name, value in missing.items()))
    return list(missing)


def read_environment(path: Path) -> dict[str, str]:
    """Return the variables of a file. As in compose, the process's environment takes precedence.

    Raises:
        CommandError: there is no file.
    """
    if not path.exists():
        raise CommandError(f"there is no {path}: run `make stack-up` first")
    lines = (
        line.partition("=") for line in path.read_text().splitlines() if line and not line.startswith("#")
    )
    return {name: os.environ.get(name) or value for name, _, value in lines}


def addresses(values: dict[str, str]) -> dict[str, str]:
    """Return the URL of each published page."""
    ports = {
        name: values.get(variable) or str(default)
        for (variable, default), name in zip(port_variables().items(), DEFAULT_PORTS, strict=True)
    }
    return {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}


def credentials(values: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return the content of credentials.json, in the format of the embedded platform."""
    urls = addresses(values)
    return {
        "airflow": {"url": urls["airflow"], "user": ADMIN, "password": values["AIRFLOW_PASSWORD"]},
        "mlflow": {"url": urls["mlflow"], "user": ADMIN, "password": values["MLFLOW_PASSWORD"]},
        # The RPC address is valid in the containers' network. The machine itself has only the NameNode's
        # page.
        "namenode": {"url": urls["namenode"], "rpc": "hdfs://namenode:8020"},
        "spark_master": {"url": urls["spark_master"]},
        "spark_history": {"url": urls["spark_history"]},
    }


def write_credentials(values: dict[str, str]) -> Path:
    """Write credentials.json to the same place as the embedded platform, and return its path."""
    home = Path(os.environ.get("VAXPULSE_HOME") or REPOSITORY / "var").absolute()
    home.mkdir(parents=True, exist_ok=True)
    path = home / "credentials.json"
    write_private(path, json.dumps(credentials(values), indent=2))
    return path
