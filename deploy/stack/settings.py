"""The settings of the stack: .env with its secrets and ports, made once, and the credentials that people and scripts log in with."""

from __future__ import annotations

import json
import os
import secrets
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from pathlib import Path

from deploy.embedded.settings import write_private

REPOSITORY = Path(__file__).resolve().parents[2]
ENV_FILE = REPOSITORY / ".env"
ADMIN = "admin"  # in Airflow and in MLflow

# Published on loopback; setting VAXPULSE_<NAME>_PORT when .env is made, or there later, moves one.
DEFAULT_PORTS = {
    "airflow": 8080,
    "mlflow": 5000,
    "namenode": 9870,
    "spark_master": 8081,
    "spark_history": 18080,
}


def new_environment(*, gpu: bool) -> dict[str, str]:
    """Return the content of a new .env: what compose is to start, ports, and random secrets.

    Args:
        gpu: whether Docker can give a container an NVIDIA GPU; without one the CPU trains.
    """
    databases = ("AIRFLOW_DATABASE_PASSWORD", "MLFLOW_DATABASE_PASSWORD", "STUDIES_DATABASE_PASSWORD")
    passwords = ("POSTGRES_PASSWORD", *databases, "REDIS_PASSWORD", "AIRFLOW_PASSWORD")
    return {
        **(
            {"COMPOSE_PROFILES": "gpu"}
            if gpu
            else {"COMPOSE_FILE": "docker-compose.yaml:docker-compose.cpu.yaml"}
        ),
        "VAXPULSE_FIRST_DAY": datetime.now(UTC).date().isoformat(),
        **{name: os.environ.get(name) or str(port) for name, port in port_variables().items()},
        **{name: secrets.token_urlsafe(24) for name in passwords},
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
    """Add the variables that a file lacks, as that of an earlier version does, readable by its owner alone; return their names.

    What compose is to start is chosen once, when there is no file yet.
    """
    is_new = not path.exists()
    text = "# Made by `make stack-up`. Secrets: keep it, show it to nobody.\n" if is_new else path.read_text()
    known = {line.partition("=")[0] for line in text.splitlines()}
    missing = {
        name: value
        for name, value in values.items()
        if name not in known and (is_new or not name.startswith("COMPOSE_"))
    }
    if missing:
        write_private(path, text + "".join(f"{name}={value}\n" for name, value in missing.items()))
    return list(missing)


def read_environment(path: Path) -> dict[str, str]:
    """Return the variables of a file; those of the process's environment win, as they do for compose."""
    lines = (
        line.partition("=") for line in path.read_text().splitlines() if line and not line.startswith("#")
    )
    return {name: os.environ.get(name) or value for name, _, value in lines}


def addresses(values: dict[str, str]) -> dict[str, str]:
    """Return where each page is found on this machine."""
    ports = {
        name: values.get(variable) or str(default)
        for (variable, default), name in zip(port_variables().items(), DEFAULT_PORTS, strict=True)
    }
    return {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}


def credentials(values: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return the content of credentials.json, which has the form of the embedded platform's."""
    urls = addresses(values)
    return {
        "airflow": {"url": urls["airflow"], "user": ADMIN, "password": values["AIRFLOW_PASSWORD"]},
        "mlflow": {"url": urls["mlflow"], "user": ADMIN, "password": values["MLFLOW_PASSWORD"]},
        # The RPC address is that of the network of the containers; from the machine HDFS is reached by its pages alone.
        "namenode": {"url": urls["namenode"], "rpc": "hdfs://namenode:8020"},
        "spark_master": {"url": urls["spark_master"]},
        "spark_history": {"url": urls["spark_history"]},
    }


def write_credentials(values: dict[str, str]) -> Path:
    """Write credentials.json, readable by its owner alone, where the embedded platform has it; return its path."""
    home = Path(os.environ.get("VAXPULSE_HOME") or REPOSITORY / "var").absolute()
    home.mkdir(parents=True, exist_ok=True)
    path = home / "credentials.json"
    write_private(path, json.dumps(credentials(values), indent=2))
    return path
