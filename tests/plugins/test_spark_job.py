"""A job brings its package along. One that refuses its input fails at once; any other failure is tried again."""

import subprocess
import sys
from pathlib import Path

import pytest
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from vaxpulse_airflow.spark_job import SparkJobOperator

SPARK_JOBS = Path(__file__).parents[2] / "spark_jobs"
IMPORT_ALL = """
import pkgutil, sys
from importlib import resources
sys.path.insert(0, {archive!r})
import spark_jobs
print(spark_jobs.__path__[0], resources.files("reporting").joinpath("page.html.j2").is_file())
print(*(module.name for module in pkgutil.walk_packages(spark_jobs.__path__, "spark_jobs.")))
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
def test_exit_status_decides_whether_another_try_is_made(monkeypatch, status, error):
    def fail(self, context):
        raise AirflowException(f"Cannot execute: spark-submit job.py. Error code is: {status}.")

    monkeypatch.setattr(SparkSubmitOperator, "execute", fail)
    with pytest.raises(AirflowException) as raised:
        SparkJobOperator(task_id="job", package=str(SPARK_JOBS)).execute({})
    assert type(raised.value) is error


def test_driver_and_executors_get_the_package_of_the_job(monkeypatch, tmp_path):
    submitted = []

    def submit(self, context):
        command = self._get_hook()._build_spark_submit_command("job.py")
        archive = command[command.index("--py-files") + 1]
        submitted.append(archive)
        # A machine that has the libraries and no checkout.
        shown = subprocess.run(
            [sys.executable, "-I", "-c", IMPORT_ALL.format(archive=archive)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stdout.splitlines()[0] == f"{archive}/spark_jobs True"
        names = {
            ".".join(path.relative_to(SPARK_JOBS.parent).with_suffix("").parts)
            for path in SPARK_JOBS.rglob("*.py")
        }
        assert {"spark_jobs", *shown.stdout.splitlines()[1].split()} == {
            name.removesuffix(".__init__") for name in names
        }

    monkeypatch.setattr(SparkSubmitOperator, "execute", submit)
    SparkJobOperator(task_id="job", package=str(SPARK_JOBS)).execute({})
    assert not Path(submitted[0]).exists()
