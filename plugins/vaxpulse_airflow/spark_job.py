"""Spark jobs that bring their own code along, and that tell bad input and nothing to do from a fault."""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

# <sysexits.h>: the input is wrong, not the program; no further try can help.
REFUSED = rf"Error code is: {os.EX_DATAERR}\b"
# What BashOperator takes for a skip, too.
NOTHING_TO_DO = r"Error code is: 99\b"


class SparkJobOperator(SparkSubmitOperator):
    """Submits a job with its Python package. When the job says that its input is wrong (exit status 65), it fails at once, without further tries.

    When the job says that there is nothing to do (99), the task is skipped.

    The package goes with each job (`--py-files`, 40 kB), so that driver and executors run the same version of it wherever they are. What the
    package imports must be installed there.

    Args:
        package: the folder of the Python package that the job imports.
    """

    def __init__(self, *, package: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.package = package

    def execute(self, context: Any) -> Any:
        """Run the job; raise AirflowFailException when its input is refused, AirflowSkipException when it has nothing to do."""
        with tempfile.TemporaryDirectory(prefix="vaxpulse-job-") as folder:
            self.py_files = str(archive_package(Path(self.package), Path(folder)))
            try:
                return super().execute(context)
            except AirflowException as error:
                if re.search(REFUSED, str(error)):
                    raise AirflowFailException(
                        "the job refused its input and wrote nothing; the lines above say why"
                    ) from error
                if re.search(NOTHING_TO_DO, str(error)):
                    raise AirflowSkipException(
                        "the job had nothing to do; the lines above say why"
                    ) from error
                raise


def archive_package(package: Path, folder: Path) -> Path:
    """Write a Python package into a zip file in a folder; return its path. Python imports from such a file."""
    archive = folder / f"{package.name}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(package.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                file.write(path, path.relative_to(package.parent))
    return archive
