"""Checks of the stack's files without Docker. `make stack-smoke` checks the running stack."""

import re
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock, call
from urllib.parse import urlsplit

import pytest
import yaml

from contracts import hdfs_paths
from deploy.common.errors import CommandError
from deploy.stack import create_hdfs_folders, run, settings
from monitoring.health import Watched

REPOSITORY = Path(__file__).parents[2]
COMPOSE = REPOSITORY / "docker-compose.yaml"
OFFICIAL = {"postgres", "redis"}


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(COMPOSE.read_text())


@pytest.fixture
def variables(monkeypatch):
    for name in settings.port_variables():
        monkeypatch.delenv(name, raising=False)
    return settings.new_environment(gpu=False)


def has_docker_compose() -> bool:
    """Return whether the docker command exists and has the plugin Compose."""
    if not shutil.which("docker"):
        return False
    return not subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode


@pytest.mark.skipif(not has_docker_compose(), reason="`docker compose config` needs docker with Compose")
@pytest.mark.parametrize("gpu", [True, False])
def test_docker_compose_accepts_the_files_and_prints_no_secret(tmp_path, gpu):
    variables = settings.new_environment(gpu=gpu)
    settings.complete_environment(tmp_path / ".env", variables)
    command = [
        "docker",
        "compose",
        "--project-directory",
        str(REPOSITORY),
        "--env-file",
        str(tmp_path / ".env"),
        "config",
    ]
    shown = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
    )
    assert shown.returncode == 0, shown.stderr
    services = yaml.safe_load(shown.stdout)["services"]
    assert "airflow-worker-gpu" in services
    assert ("reservations" in services["airflow-worker-gpu"]["deploy"]["resources"]) == gpu
    assert [name for name in secret_names(variables) if variables[name] in shown.stdout] == []


def test_every_secret_of_the_compose_file_is_generated(compose, variables):
    assert {secret["environment"] for secret in compose["secrets"].values()} == set(secret_names(variables))


def test_no_secret_is_an_environment_variable_of_a_container(compose):
    text = COMPOSE.read_text()
    for secret in compose["secrets"].values():
        assert f"${{{secret['environment']}" not in text


def test_secrets_are_random_and_long(variables):
    other = settings.new_environment(gpu=False)
    for name in secret_names(variables):
        assert variables[name] != other[name]
        assert len(variables[name]) >= 32


def test_only_pages_are_published_and_on_loopback(compose):
    published = {
        name: port for name, service in compose["services"].items() for port in service.get("ports", [])
    }
    assert set(published) == {"airflow-apiserver", "mlflow", "namenode", "spark-master", "spark-history"}
    for port in published.values():
        assert port.startswith("127.0.0.1:${VAXPULSE_")


def test_default_ports_are_those_of_the_compose_file():
    text = COMPOSE.read_text()
    for variable, port in settings.port_variables().items():
        assert f"${{{variable}:-{port}}}" in text


def test_every_service_has_limits_restarts_and_a_health_check(compose):
    for name, service in compose["services"].items():
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        if name in ("airflow-init", "client"):  # these commands end
            assert service["restart"] == "no", name
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"], name


def test_images_are_pinned_and_do_not_run_as_root(compose):
    for name, service in compose["services"].items():
        tag = service["image"].rpartition(":")[2]
        assert tag not in ("", "latest"), name
        assert (name in OFFICIAL) == ("build" not in service), name
    dockerfile = (REPOSITORY / "docker" / "Dockerfile").read_text()
    targets = {service["build"]["target"] for service in compose["services"].values() if "build" in service}
    for target in targets:
        stage = dockerfile.partition(f" AS {target}\n")[2].partition("\nFROM ")[0]
        assert "\nUSER 1000" in stage, target


def test_base_images_have_a_digest_and_can_be_replaced(compose):
    pinned = {name: compose["services"][name]["image"] for name in OFFICIAL}
    dockerfile = (REPOSITORY / "docker" / "Dockerfile").read_text()
    [default] = re.findall(r"^ARG VAXPULSE_DEBIAN_IMAGE=(.+)$", dockerfile, flags=re.MULTILINE)
    pinned["debian"] = f"${{VAXPULSE_DEBIAN_IMAGE:-{default}}}"
    for name, image in pinned.items():
        variable = f"VAXPULSE_{name.upper()}_IMAGE"
        assert re.fullmatch(rf"\$\{{{variable}:-{name}:[\w-]+@sha256:[0-9a-f]{{64}}\}}", image), name
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", dockerfile, flags=re.MULTILINE)
    assert {image for image, _ in stages} - {stage for _, stage in stages} == {"${VAXPULSE_DEBIAN_IMAGE}"}
    for service in compose["services"].values():
        if "build" in service:  # an argument without a value is taken from the environment
            assert service["build"]["args"].get("VAXPULSE_DEBIAN_IMAGE", "missing") is None


def test_environment_file_is_private(tmp_path, variables, monkeypatch):
    for name in variables:
        monkeypatch.delenv(name, raising=False)
    settings.complete_environment(tmp_path / ".env", variables)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert settings.read_environment(tmp_path / ".env") == variables


def test_file_of_an_earlier_version_keeps_its_values_and_gets_missing_ones(tmp_path, variables):
    file = tmp_path / ".env"
    file.write_text("COMPOSE_PROFILES=gpu\nREDIS_PASSWORD=kept\n")
    added = settings.complete_environment(file, variables)
    assert {"REDIS_PASSWORD", "COMPOSE_FILE"} & set(added) == set()
    found = settings.read_environment(file)
    assert (found["REDIS_PASSWORD"], found["COMPOSE_PROFILES"]) == ("kept", "gpu")
    assert found["STUDIES_DATABASE_PASSWORD"] == variables["STUDIES_DATABASE_PASSWORD"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert settings.complete_environment(file, settings.new_environment(gpu=False)) == []


def test_credentials_have_the_format_of_the_embedded_platform(variables, tmp_path, monkeypatch):
    monkeypatch.setenv("VAXPULSE_HOME", str(tmp_path))
    path = settings.write_credentials(variables)
    assert (path.name, path.stat().st_mode & 0o777) == ("credentials.json", 0o600)
    found = settings.credentials(variables)
    assert found["airflow"] == {
        "url": "http://127.0.0.1:8080",
        "user": "admin",
        "password": variables["AIRFLOW_PASSWORD"],
    }
    assert found["mlflow"]["password"] == variables["MLFLOW_PASSWORD"]
    assert found["namenode"] == {"url": "http://127.0.0.1:9870", "rpc": "hdfs://namenode:8020"}


def secret_names(variables):
    return [name for name in variables if not name.startswith(("VAXPULSE_", "COMPOSE_"))]


def test_missing_environment_file_is_reported_with_advice(tmp_path):
    with pytest.raises(CommandError, match="run `make stack-up` first"):
        settings.read_environment(tmp_path / ".env")


def test_hdfs_folders_get_owners_and_the_landing_folder_is_writable_for_all():
    client = Mock()
    create_hdfs_folders.create_folders(client)
    folders = [hdfs_paths.ROOT, hdfs_paths.LANDING, hdfs_paths.SPARK_EVENTS]
    assert client.set_owner.mock_calls == [call(each, owner="vaxpulse", group="vaxpulse") for each in folders]
    writable = [call(each, "1777") for each in (hdfs_paths.LANDING, "/tmp")]
    assert client.set_permission.mock_calls == writable
    assert {each.args[0] for each in client.makedirs.mock_calls} == {*folders, "/tmp"}


def test_airflow_images_contain_every_package():
    dockerfile = (REPOSITORY / "docker" / "Dockerfile").read_text()
    found = {path.parent.name for path in REPOSITORY.glob("[a-z]*/__init__.py")} | {"dags", "plugins"}
    packages = found - {"training"}
    for target, expected in (("airflow", packages), ("airflow-gpu", packages | {"training"})):
        stage = dockerfile.partition(f" AS {target}\n")[2].partition("\nFROM ")[0]
        assert {f"COPY {package} {package}" for package in expected} <= set(stage.splitlines()), target
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert {f"!{path.split('/')[0]}" for paths in copied for path in paths.split()} <= set(ignored)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["", ""]),  # for example a Spark worker on another server
        ({"VAXPULSE_HDFS": "hdfs://n:8020"}, ["hdfs://n:8020/vaxpulse/spark-events", ""]),
        (
            {"VAXPULSE_HDFS": "hdfs://n:8020", "VAXPULSE_NAMENODE_URL": "http://n:9870"},
            ["hdfs://n:8020/vaxpulse/spark-events", "http://n:9870/explorer.html#/vaxpulse"],
        ),
        ({"VAXPULSE_HDFS": "hdfs://n:8020", "VAXPULSE_SPARK_EVENTS": "file:/events"}, ["file:/events", ""]),
    ],
)
def test_entrypoint_adds_the_variables_with_paths_in_hdfs(given, expected):
    command = ["bash", "docker/entrypoint.sh", "sh", "-c"]
    command.append('printf "%s\n%s\n" "${VAXPULSE_SPARK_EVENTS:-}" "${VAXPULSE_HDFS_URL:-}"')
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"} | given
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()) == (0, expected), done.stderr


def test_worker_watches_the_services_of_the_stack_with_a_login_of_its_own(compose):
    worker = compose["services"]["airflow-worker"]
    watched = Watched.from_json(worker["environment"]["VAXPULSE_WATCHED"])
    addresses = [watched.airflow, watched.namenode, *watched.pages.values()]
    assert {urlsplit(address).hostname for address in addresses} == {
        "airflow-apiserver",
        "namenode",
        "mlflow",
        "spark-master",
        "spark-history",
    }
    assert {"source": "airflow_watch_password", "target": "AIRFLOW_WATCH_PASSWORD"} in worker["secrets"]


def test_file_without_a_final_line_break_is_extended_by_whole_lines(tmp_path):
    file = tmp_path / ".env"
    file.write_text("VAXPULSE_SELF_REVIEW=allowed")
    settings.complete_environment(file, {"NEW": "1"})
    assert file.read_text() == "VAXPULSE_SELF_REVIEW=allowed\nNEW=1\n"


@pytest.mark.parametrize(
    ("volumes", "has_secrets", "is_refused"),
    [("vaxpulse_postgres\n", False, True), ("vaxpulse_postgres\n", True, False), ("", False, False)],
)
def test_data_of_a_stack_is_not_started_with_new_passwords(
    tmp_path, monkeypatch, volumes, has_secrets, is_refused
):
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    monkeypatch.setattr(settings, "ENV_FILE", tmp_path / ".env")
    if has_secrets:
        (tmp_path / ".env").touch()
    asked = []
    monkeypatch.setattr(run.docker, "docker", lambda *command: asked.append(command) or volumes)
    with pytest.raises(CommandError, match=r"copy the \.env") if is_refused else nullcontext():
        run.refuse_volumes_without_secrets()
    project = yaml.safe_load(COMPOSE.read_text())["name"]
    assert all(command[-1] == f"label=com.docker.compose.project={project}" for command in asked)


def test_containers_can_read_a_checkout_of_a_strict_umask(tmp_path, monkeypatch):
    (tmp_path / ".dockerignore").write_text("*\n!docker\n!ivy.xml\n**/__pycache__\n")
    for folder in ("docker", "tests"):
        (tmp_path / folder).mkdir(mode=0o700)
    for name, mode in (("docker/entrypoint.sh", 0o700), ("ivy.xml", 0o600), (".env", 0o600)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    monkeypatch.setattr(run, "REPOSITORY", tmp_path)
    run.make_readable()
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {
        ".dockerignore": modes[".dockerignore"],
        "docker": 0o755,
        "entrypoint.sh": 0o755,
        "ivy.xml": 0o644,
        "tests": 0o755,
        ".env": 0o600,
    }
