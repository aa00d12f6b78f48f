"""The stack as docker-compose.yaml describes it."""

from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def stack() -> dict[str, dict[str, str]]:
    """The environment that each service is given, by `environment` and `env_file`."""
    file = REPOSITORY / "docker-compose.yaml"
    if not file.exists():
        pytest.skip("there is no docker-compose.yaml yet")
    return {
        name: environment_of(service)
        for name, service in yaml.safe_load(file.read_text())["services"].items()
    }


def environment_of(service: dict) -> dict[str, str]:
    environment: dict[str, str] = {}
    files = service.get("env_file", [])
    for file in [files] if isinstance(files, str | dict) else files:
        path = REPOSITORY / (file["path"] if isinstance(file, dict) else file)
        if path.exists():  # what holds secrets is generated
            environment |= dict(
                line.split("=", 1)
                for line in path.read_text().splitlines()
                if "=" in line and not line.startswith("#")
            )
    given = service.get("environment", {})
    if isinstance(given, list):
        given = dict(entry.partition("=")[::2] for entry in given)
    return environment | {name: str(value) for name, value in given.items()}
