"""What benchmarks share: wall time and CPU time of processes, and a temporary HDFS."""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import psutil
import requests
from hdfs import InsecureClient

from deploy.embedded.services import SERVICES
from deploy.embedded.settings import DEFAULT_PORTS, Settings
from deploy.installation.java import find_java_home

REPOSITORY = Path(__file__).parents[1]
CORES = 2
START_SECONDS = 60


class Clock:
    """Wall time since its creation, and CPU time of this process and its children."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.monotonic(), self.cpu_seconds()

    @staticmethod
    def cpu_seconds() -> float:
        process = psutil.Process()
        used = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        return sum(times.user + times.system for times in used)

    def result(self, rows: float) -> dict[str, float]:
        return {
            "seconds": time.monotonic() - self.wall,
            "cpu_seconds": self.cpu_seconds() - self.cpu,
            "rows": rows,
        }


def run_in_process(
    module: str, arguments: list[str], folder: Path, spark_options: list[str], code: Path = REPOSITORY
) -> dict[str, float]:
    """Run `python -m MODULE ARGUMENTS` with Spark on CORES cores, and return the JSON of its last line.

    Args:
        module: a module that is a program.
        arguments: its arguments.
        folder: for Spark's temporary files.
        spark_options: further options of spark-submit.
        code: the repository of the module.
    """
    settings = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.local.dir": str(folder)}
    conf = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    environment = os.environ | {
        "PYTHONPATH": str(code),
        "PYSPARK_PYTHON": sys.executable,
        "JAVA_HOME": str(find_java_home()),
        "POLARS_MAX_THREADS": str(CORES),
        "TRANSFORMERS_VERBOSITY": "error",
        "PYSPARK_SUBMIT_ARGS": shlex.join(
            ["--master", f"local[{CORES}]", *spark_options, *conf, "pyspark-shell"]
        ),
    }
    command = [sys.executable, "-m", module, *arguments]
    os.sync()  # flush earlier writes, so that they do not slow down the measurement
    done = subprocess.run(command, check=True, cwd=code, env=environment, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def free_ports(count: int) -> list[int]:
    """Return ports that are not in use now."""
    with ExitStack() as probes:
        sockets = [probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in sockets]


@contextmanager
def throwaway_hdfs(folder: Path) -> Iterator[tuple[str, InsecureClient]]:
    """Start a NameNode and a DataNode on free ports, with their data in `folder`. Yield URI and client."""
    settings = Settings(folder, dict(zip(DEFAULT_PORTS, free_ports(len(DEFAULT_PORTS)), strict=True)))
    settings.write_configuration()
    namenode, datanode = (SERVICES[name].command(settings) for name in ("namenode", "datanode"))
    environment = settings.environment()
    subprocess.run(
        [*namenode, "-format", "-nonInteractive"], check=True, capture_output=True, env=environment
    )
    # Clients need the same variables: the folder of the Hadoop configuration, and NO_PROXY for loopback.
    with patch.dict(os.environ, environment), ExitStack() as daemons:
        for command in (namenode, datanode):
            daemon = daemons.enter_context(
                subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            daemons.callback(daemon.kill)
        deadline = time.monotonic() + START_SECONDS
        while problem := SERVICES["namenode"].health_problem(settings):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the NameNode {problem} after {START_SECONDS} s")
            time.sleep(0.5)
        session = requests.Session()
        session.headers[settings.secrets["datanode_header"]] = "benchmark"
        user = os.environ.get("HADOOP_USER_NAME", "root")
        yield settings.hdfs, InsecureClient(settings.url("namenode"), user=user, session=session)
