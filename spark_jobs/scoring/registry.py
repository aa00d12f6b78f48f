"""Download a registered model from MLflow to the tables' file system, where the executors read it.

    python -m spark_jobs.scoring.registry --model-name vaxpulse --model-alias champion

prints the version that has the alias, or skips the task. It needs no JVM.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from contracts.exit_status import InputError, NothingToDo, run_command
from contracts.exported_model import METADATA_FILE
from contracts.mlflow_names import EXPORT_ARTIFACT, NO_SUCH_VERSION_ERRORS
from spark_jobs.storage import hadoop_files

# Identifies the registered version in a folder. A registry that was created again restarts at version 1.
ORIGIN = "origin.json"


@dataclass(frozen=True)
class RegisteredModel:
    """A version in MLflow's registry. `source` is the URI of the logged model, `run_id` its MLflow run."""

    name: str
    version: str
    source: str
    run_id: str


def find_by_alias(name: str, alias: str) -> RegisteredModel:
    """Return the version of a model that has an alias. MLFLOW_TRACKING_URI is the server.

    Raises:
        NothingToDo: there is no such version.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        found = MlflowClient().get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in NO_SUCH_VERSION_ERRORS:
            raise NothingToDo(
                f"no version of {name} has the alias {alias}: train and promote a model first"
            ) from None
        raise
    return RegisteredModel(name, str(found.version), found.source or "", found.run_id or "")


def copy_to_file_system(spark: SparkSession, registered: RegisteredModel, models_uri: str) -> str:
    """Return the folder of a model below `models_uri`. Download the model if it is not there.

    The files are copied to another name first, so that the folder is always complete.

    Raises:
        InputError: the version has no exported model.
    """
    folder = f"{models_uri}/{registered.name}/{registered.version}"
    origin = json.dumps(asdict(registered))
    if (
        hadoop_files.exists(spark, f"{folder}/{ORIGIN}")
        and hadoop_files.read_text(spark, f"{folder}/{ORIGIN}") == origin
    ):
        return folder
    with tempfile.TemporaryDirectory() as downloaded:
        source = download_export(registered, Path(downloaded))
        (source / ORIGIN).write_text(origin)
        temporary = f"{folder}.part"
        hadoop_files.delete(spark, temporary)
        hadoop_files.copy_from_local(spark, source, temporary)
    hadoop_files.delete(spark, folder)  # HDFS replaces only empty folders
    hadoop_files.rename_overwriting(spark, temporary, folder)
    return folder


def download_export(registered: RegisteredModel, destination: Path) -> Path:
    """Download the exported model of a registered version, and return its folder."""
    import mlflow

    uri = f"models:/{registered.name}/{registered.version}/{EXPORT_ARTIFACT}"
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(destination)))
    if not (folder / METADATA_FILE).is_file():
        raise InputError(f"{uri} has no {METADATA_FILE}: train and promote a model again")
    return folder


def main(argv: Sequence[str] | None = None) -> int:
    """Print the version of a model that has an alias."""
    parser = argparse.ArgumentParser(prog="python -m spark_jobs.scoring.registry")
    parser.add_argument("--model-name", required=True, help="registered model in MLflow")
    parser.add_argument("--model-alias", required=True, help="alias of the version")
    arguments = parser.parse_args(argv)

    def find() -> None:
        found = find_by_alias(arguments.model_name, arguments.model_alias)
        print(f"{found.name} version {found.version} has the alias {arguments.model_alias}", flush=True)

    return run_command(find)


if __name__ == "__main__":
    sys.exit(main())
