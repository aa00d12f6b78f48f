"""docker-compose.fabric.yaml runs every service on the network of its host, with listeners on one address."""

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

from deploy.common.checkout import REPOSITORY
from deploy.fabric import environment
from deploy.fabric.planning import DATANODE, HEAD, HEAD_SERVICES, SPARK_WORKER, TRAINING, hosts_file
from tests.fabric.conftest import load_plan


class Loader(yaml.SafeLoader):
    """Reads the tags of Compose: `!reset x` is None, `!override x` is x."""


Loader.add_constructor("!reset", lambda loader, node: None)
Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))
BASE = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
TEXT = (REPOSITORY / "docker-compose.fabric.yaml").read_text()
FABRIC = yaml.load(TEXT, Loader)["services"]
PROFILES = {HEAD, DATANODE, SPARK_WORKER, TRAINING}


def profile_of(service):
    [profile] = FABRIC[service]["profiles"]
    return profile


def test_every_service_runs_on_the_network_of_one_kind_of_host():
    assert set(BASE["services"]) | {"airflow-logs"} == set(FABRIC)
    for name, service in FABRIC.items():
        assert service["network_mode"] == "host", name
        assert service["volumes"][0].endswith(":/etc/hosts:ro"), name
    assert {profile_of(name) for name in FABRIC if name != "client"} == PROFILES


def test_no_port_is_published():
    for name, service in BASE["services"].items():
        if "ports" in service:
            assert FABRIC[name].get("ports", "missing") is None, name


def test_no_service_listens_on_all_interfaces_or_is_checked_on_loopback():
    code = "\n".join(line.partition("#")[0] for line in TEXT.splitlines())
    assert "0.0.0.0" not in code
    assert "localhost" not in code
    for name, service in BASE["services"].items():
        for key in ("command", "healthcheck"):
            if re.search(r"0\.0\.0\.0|localhost|127\.0\.0\.1", json.dumps(service.get(key))):
                assert key in FABRIC[name], f"{name}.{key}"
        if service.get("environment", {}).get("VAXPULSE_HDFS_BIND_HOST"):
            assert FABRIC[name]["environment"]["VAXPULSE_HDFS_BIND_HOST"] == "${VAXPULSE_NODE_ADDRESS:?}"


def test_no_service_waits_for_a_service_of_another_host():
    for name, service in BASE["services"].items():
        waits_for = {} if "depends_on" in FABRIC[name] else service.get("depends_on", {})
        if name != "client":
            assert {profile_of(other) for other in waits_for} <= {profile_of(name)}, name


def test_services_of_the_head_have_a_name_in_the_hosts_file():
    text = "\n".join(json.dumps(service) for service in BASE["services"].values()) + TEXT
    used = {name for name in BASE["services"] if re.search(rf"(//|@|host\": \")[^\"]*\b{name}\b:?\d*", text)}
    assert used & {name for name in FABRIC if name != "client" and profile_of(name) == HEAD} <= set(
        HEAD_SERVICES
    )
    assert set(HEAD_SERVICES) <= set(FABRIC)


def test_each_host_gets_the_secrets_of_its_services_only():
    variables = {name: secret["environment"] for name, secret in BASE["secrets"].items()}
    for profile, expected in environment.SECRETS.items():
        used = set()
        for name, service in FABRIC.items():
            if name != "client" and profile_of(name) == profile:
                listed = service.get("secrets") or BASE["services"][name].get("secrets", [])
                used |= {variables[item if isinstance(item, str) else item["source"]] for item in listed}
        assert used == expected, profile


def has_docker_compose():
    if not shutil.which("docker"):
        return False
    return not subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode


@pytest.mark.skipif(not has_docker_compose(), reason="`docker compose config` needs docker with Compose")
@pytest.mark.parametrize(
    ("number", "services"),
    [
        (1, {"airflow-worker-gpu", "airflow-logs"}),
        (2, {"datanode", "spark-worker"}),
        (0, {name for name in FABRIC if name != "client" and profile_of(name) == HEAD}),
    ],
)
def test_docker_compose_accepts_the_files_of_each_kind_of_host(tmp_path, number, services):
    plan = load_plan("3")
    secrets = environment.load_or_create_secrets(plan)
    variables = environment.host_environment(plan, plan.hosts[number], secrets, "abc")
    file = tmp_path / ".env"
    file.write_text(environment.to_text(variables))
    (tmp_path / "hosts").write_text(hosts_file(plan))
    command = ["docker", "compose", "--project-directory", str(REPOSITORY), "--env-file", str(file), "config"]
    settings = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "DOCKER_CONFIG")
    }
    shown = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=settings)
    assert shown.returncode == 0, shown.stderr
    found = yaml.safe_load(shown.stdout)["services"]
    assert set(found) == services
    for service in found.values():
        assert service["network_mode"] == "host"
        assert "ports" not in service
        assert "reservations" not in service["deploy"]["resources"]
    secrets.pop("VAXPULSE_START_DATE")
    assert not [name for name, value in secrets.items() if value in shown.stdout]
    assert ("/dev/nvidia0" in shown.stdout) == (number == 1)
