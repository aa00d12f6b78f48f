"""A Spark job is submitted with its packages. Its exit status decides whether Airflow retries it."""

import subprocess
import sys
from pathlib import Path

import pytest
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from vaxpulse_airflow.command import REPOSITORY
from vaxpulse_airflow.spark_job import SparkJobOperator

PACKAGES = ("spark_jobs", "contracts", "onnx_model", "reporting")
LIST_MODULES = """
import pkgutil, sys
from importlib import resources
sys.path.insert(0, {archive!r})
import reporting, spark_jobs
print(spark_jobs.__path__[0], resources.files("reporting").joinpath("page.html.j2").is_file())
for package in {packages!r}:
    module = __import__(package)
    print(package, *(each.name for each in pkgutil.walk_packages(module.__path__, package + ".")))
"""


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (65, AirflowFailException),
        (99, AirflowSkipException),
        (1, AirflowException),
        (651, AirflowException),
        (199, AirflowException),
    ],
)
def test_exit_status_decides_whether_the_job_is_retried(monkeypatch, status, error):
    def fail(self, context):
        raise AirflowException(f"Cannot execute: spark-submit job.py. Error code is: {status}.")

    monkeypatch.setattr(SparkSubmitOperator, "execute", fail)
    with pytest.raises(AirflowException) as raised:
        SparkJobOperator(task_id="job", python_packages=PACKAGES).execute({})
    assert type(raised.value) is error


def test_failure_without_an_exit_status_is_retried(monkeypatch):
    def fail(self, context):
        raise AirflowException("spark-submit was not found")

    monkeypatch.setattr(SparkSubmitOperator, "execute", fail)
    with pytest.raises(AirflowException, match="not found"):
        SparkJobOperator(task_id="job", python_packages=PACKAGES).execute({})


def test_driver_and_executors_get_all_modules_of_the_packages(monkeypatch):
    submitted = []

    def submit(self, context):
        command = self._get_hook()._build_spark_submit_command("job.py")
        archive = command[command.index("--py-files") + 1]
        submitted.append(archive)
        # `-I` ignores PYTHONPATH, as on a machine that has the libraries but not the repository.
        code = LIST_MODULES.format(archive=archive, packages=PACKAGES)
        first, *lines = subprocess.run(
            [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert first == f"{archive}/spark_jobs True"
        modules = {
            ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
            for package in PACKAGES
            for path in (REPOSITORY / package).rglob("*.py")
        }
        assert {name for line in lines for name in line.split()} == modules

    monkeypatch.setattr(SparkSubmitOperator, "execute", submit)
    SparkJobOperator(task_id="job", python_packages=PACKAGES).execute({})
    assert Path(submitted[0]).name == "vaxpulse.zip"
    assert not Path(submitted[0]).exists()
