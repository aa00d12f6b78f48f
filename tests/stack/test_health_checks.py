"""The health checks of the Compose file, run with the answers of a daemon."""

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

SERVICES = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yaml").read_text())["services"]
# Prints the JMX bean that the last argument names.
CURL = '#!/bin/sh\nfor url; do :; done\ncat "$BEANS/${url##*name=}"\n'


@pytest.fixture
def check(tmp_path):
    """Return a function that runs the health check of a service."""
    curl = tmp_path / "curl"
    curl.write_text(CURL)
    curl.chmod(curl.stat().st_mode | stat.S_IXUSR)

    def run(service, beans):
        for name, bean in beans.items():
            text = json.dumps({"beans": [bean]}, indent=2, separators=(",", " : "))  # as Hadoop writes it
            (tmp_path / name).write_text(text)
        [_, command] = SERVICES[service]["healthcheck"]["test"]
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "BEANS": str(tmp_path)}
        return subprocess.run(["sh", "-c", command], env=environment, check=False).returncode == 0

    return run


@pytest.mark.parametrize(("state", "healthy"), [("Operational", True), ("safeMode", False)])
def test_namenode_in_safe_mode_is_not_healthy(check, state, healthy):
    beans = {"NameNodeStatus": {"State": "active"}, "FSNamesystemState": {"FSState": state}}
    assert check("namenode", beans) == healthy


def test_datanode_starts_while_the_namenode_is_in_safe_mode():
    # The NameNode leaves safe mode after the DataNodes have reported their blocks.
    assert SERVICES["datanode"]["depends_on"] == {"namenode": {"condition": "service_started"}}
