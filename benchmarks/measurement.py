"""Measure wall time and CPU time, in processes of their own."""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import psutil

from deploy.installation.java import find_java_home

REPOSITORY = Path(__file__).parents[1]
CORES = 2


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
