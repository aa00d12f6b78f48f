"""The champion: from MLflow's registry, by alias, into a folder of the tables' file system, where the executors take it from."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from spark_jobs.scoring.scorable_model import METADATA, ModelError

# Where a model in MLflow keeps its scorable model.
MODEL_FOLDER = "artifacts/onnx"
# Says which registered version a folder holds. A registry that was begun anew counts its versions from 1 again.
ORIGIN = "origin.json"


@dataclass(frozen=True)
class RegisteredModel:
    """A version in MLflow's registry, and the address of the model that was registered."""

    name: str
    version: str
    source: str


def find_by_alias(name: str, alias: str) -> RegisteredModel | None:
    """The version of the model `name` that carries the alias; None where there is no such model, or none of its versions does.

    MLFLOW_TRACKING_URI names the server; any other failure of it is raised.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        found = MlflowClient().get_model_version_by_alias(name, alias)
    except MlflowException as error:
        # The second is what the server says of an alias that it does not know, the first of a model.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return RegisteredModel(name, str(found.version), found.source or "")


def keep_in_file_system(spark: SparkSession, registered: RegisteredModel, models_uri: str) -> str:
    """The folder of the model below `models_uri`; fetched where it is not there yet.

    It is written under another name and renamed when it is whole, so that no retry takes a part of it.

    Raises:
        ModelError: the version was registered without a scorable model.
    """
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path
    folder = f"{models_uri}/{registered.name}/{registered.version}"
    file_system = path(folder).getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    origin = json.dumps(asdict(registered))
    if (
        file_system.exists(path(folder, ORIGIN))
        and spark.read.text(f"{folder}/{ORIGIN}", wholetext=True).collect()[0].value == origin
    ):
        return folder
    with tempfile.TemporaryDirectory() as fetched:
        source = fetch_artifacts(registered, Path(fetched))
        (source / ORIGIN).write_text(origin)
        part = f"{folder}.part"
        file_system.delete(path(part), True)
        file_system.copyFromLocalFile(False, True, path(source.as_uri()), path(part))
        file_system.delete(path(folder), True)
        if not file_system.rename(path(part), path(folder)):
            raise OSError(f"{part} could not be renamed to {folder}")
    return folder


def fetch_artifacts(registered: RegisteredModel, destination: Path) -> Path:
    """Downloads the scorable model of a registered version; the folder that holds it."""
    import mlflow

    uri = f"models:/{registered.name}/{registered.version}/{MODEL_FOLDER}"
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(destination)))
    except (mlflow.MlflowException, OSError) as error:
        raise ModelError(f"{uri} cannot be fetched ({error})") from error
    if not (folder / METADATA).is_file():
        raise ModelError(
            f"{registered.name} version {registered.version} was registered without a scorable model ({uri} has no {METADATA}): "
            "train and promote a model again"
        )
    return folder
