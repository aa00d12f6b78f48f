"""Scripts of deploy/fabric/host, with a stand-in for Docker."""

import os
import shutil
import stat
import subprocess

import pytest

from deploy.common.checkout import REPOSITORY

# The containers of a host: service, state, health, exit status. `docker compose run client` started the last.
CONTAINERS = """
airflow-init exited  0
mlflow running healthy 0
redis running unhealthy 0
client running  0
"""
DOCKER = f"""#!/usr/bin/env bash
case "$*" in
  "compose config --services") printf '%s\\n' airflow-init mlflow redis ;;
  "compose ps --format {{{{.Health}}}}") printf '%s\\n' healthy unhealthy ;;
  "compose ps --all "*)
    services=("${{@:6}}")
    while read -r service state; do
      [[ ${{#services[@]}} = 0 || " ${{services[*]}} " = *" $service "* ]] && echo "$service $state"
    done <<<'{CONTAINERS.strip()}'
    true
    ;;
  *) echo 20.10 ;;
esac
"""


@pytest.mark.skipif(not shutil.which("ip"), reason="report.sh prints the addresses with `ip`, of iproute2")
def test_report_names_unhealthy_services_and_ignores_a_running_command(tmp_path):
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
    release = tmp_path / "srv" / "release"
    release.mkdir(parents=True)
    (release / ".env").touch()
    (tmp_path / "srv" / "current").symlink_to(release)
    script = (REPOSITORY / "deploy" / "fabric" / "host" / "report.sh").read_text()
    script = script.replace("/srv/vaxpulse", str(tmp_path / "srv")).replace("/etc/vaxpulse", str(tmp_path))
    (tmp_path / "report.sh").write_text(script)
    path = f"{docker.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(tmp_path / "report.sh")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": path},
    )
    report = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert (report["expected"], report["healthy"], report["unhealthy"]) == ("2", "1", "redis")
