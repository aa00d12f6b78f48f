"""The environment of the stack's services."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def stack() -> dict[str, dict[str, str]]:
    """The environment of each service: `environment`, `env_file`, secrets, variables of the entrypoint."""
    services = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())["services"]
    return {name: after_entrypoint(read_environment(service)) for name, service in services.items()}


def after_entrypoint(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of a command that the entrypoint runs. Other images contain no contracts."""
    if "VAXPULSE_HDFS" not in environment:
        return environment
    bin_folder = Path(sys.executable).parent
    finished = subprocess.run(
        ["bash", "docker/entrypoint.sh", "env", "-0"],
        cwd=REPOSITORY,
        env=environment | {"PATH": f"{bin_folder}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split("=", 1) for line in finished.stdout.split("\0") if line)


def read_environment(service: dict) -> dict[str, str]:
    environment: dict[str, str] = {}
    files = service.get("env_file", [])
    for file in [files] if isinstance(files, str | dict) else files:
        path = REPOSITORY / (file["path"] if isinstance(file, dict) else file)
        environment |= dict(
            line.split("=", 1)
            for line in path.read_text().splitlines()
            if "=" in line and not line.startswith("#")
        )
    given = service.get("environment", {})
    if isinstance(given, list):
        given = dict(entry.partition("=")[::2] for entry in given)
    secrets = [each for each in service.get("secrets", []) if isinstance(each, dict)]
    environment |= {each["target"]: "a secret" for each in secrets}  # the entrypoint reads the files
    return environment | {name: str(value) for name, value in given.items()}
