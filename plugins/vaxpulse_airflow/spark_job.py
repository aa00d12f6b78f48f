"""Spark jobs that are submitted together with the packages that they import."""

import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.exceptions import AirflowException

from vaxpulse_airflow.command import REPOSITORY, raise_for_exit_status
from vaxpulse_airflow.links import HdfsLink, MlflowRunLink, ReportLink, SparkApplicationLink
from vaxpulse_airflow.task_output import TaskOutput, describe_datasets

ARCHIVE = "vaxpulse.zip"


class SparkJobOperator(SparkSubmitOperator):
    """Submits a job together with its packages. Its exit statuses are those of `contracts.exit_status`.

    The packages are sent with each job (`--py-files`, about 100 kB). So the driver and the executors run the
    same version on every machine. Only third-party libraries must be installed there.

    Args:
        python_packages: names of the packages in the repository that the job imports.
    """

    operator_extra_links = (SparkApplicationLink(), MlflowRunLink(), HdfsLink(), ReportLink())

    def __init__(self, *, python_packages: tuple[str, ...], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.python_packages = python_packages

    def execute(self, context: Any) -> Any:
        """Run the job. Raise an exception according to its exit status."""
        self.output_lines = TaskOutput(context)
        with tempfile.TemporaryDirectory(prefix="vaxpulse-job-") as folder:
            self.py_files = str(archive_packages(self.python_packages, Path(folder)))
            try:
                super().execute(context)
            except AirflowException as error:
                # The hook has no attribute for the status of spark-submit.
                if status := re.search(r"Error code is: (\d+)\b", str(error)):
                    raise_for_exit_status(int(status[1]))
                raise
        self.is_done = True
        self.output_lines.describe_changes(self.outlets)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the datasets for an OpenLineage event."""
        return describe_datasets(self)

    def _get_hook(self) -> SparkSubmitHook:
        """Return the hook. Each line of the job's output is also read by TaskOutput."""
        hook = super()._get_hook()
        process = hook._process_spark_submit_log

        def observe(lines: Iterator[str]) -> None:
            output = getattr(self, "output_lines", None)
            process(map(output.read, lines) if output else lines)

        hook._process_spark_submit_log = observe  # type: ignore[method-assign, assignment]
        return hook


def archive_packages(packages: tuple[str, ...], folder: Path) -> Path:
    """Write packages into a zip file that Python can import from. Return its path."""
    archive = folder / ARCHIVE
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for package in packages:
            for path in sorted((REPOSITORY / package).rglob("*")):
                if path.is_file() and path.suffix != ".pyc":
                    file.write(path, path.relative_to(REPOSITORY))
    return archive
