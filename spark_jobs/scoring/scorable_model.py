"""A model in a folder that the executors can read."""

from dataclasses import dataclass

from pyspark.sql import SparkSession

from contracts.exit_status import InputError
from contracts.exported_model import METADATA_FILE, ModelMetadata
from spark_jobs.storage.hadoop_files import read_text


@dataclass(frozen=True)
class ScorableModel:
    """A registered version of an exported model. `folder` is on the tables' file system."""

    name: str
    version: str
    folder: str
    metadata: ModelMetadata

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


def read_model(spark: SparkSession, folder: str, name: str, version: str) -> ScorableModel:
    """Return the model in a folder.

    Raises:
        InputError: its metadata are not complete, or it was not evaluated.
    """
    metadata = ModelMetadata.from_json(read_text(spark, f"{folder}/{METADATA_FILE}"))
    if not metadata.eval_confusion:
        raise InputError(f"{name} version {version} was not evaluated: train and promote a model again")
    return ScorableModel(name, version, folder, metadata)
