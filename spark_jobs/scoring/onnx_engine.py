"""Score in Arrow batches: with ONNX Runtime, or the baseline's n-grams with scikit-learn.

Spark copies the model's files once to each executor. Each Python worker opens them once. A task uses one
thread because Spark runs one task per core.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyspark import SparkFiles
from pyspark.sql import DataFrame
from pyspark.sql.types import DoubleType, StructField, StructType

from contracts.labels import PROBABILITY_COLUMNS
from onnx_model import exports
from spark_jobs.scoring.scorable_model import ScorableModel

# clean_tweets may run beside a scoring of hours on the same cores. A new dump must not wait for it.
NICENESS = 10

PROBABILITIES = StructType([StructField(name, DoubleType(), nullable=False) for name in PROBABILITY_COLUMNS])


def score(texts: DataFrame, model: ScorableModel) -> DataFrame:
    """Return `texts` (column `text`) with the columns PROBABILITIES.

    A Spark application can score with several models only if their folders have different names.
    """
    texts.sparkSession.sparkContext.addFile(model.folder, recursive=True)
    columns = StructType([*texts.schema, *PROBABILITIES])
    return texts.mapInArrow(score_batches(PurePosixPath(model.folder).name), columns)


def score_batches(folder_name: str) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return a function for mapInArrow that adds PROBABILITIES.

    `folder_name` is the model's name in SparkFiles.
    """

    def add_probabilities(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        classifier = open_classifier(SparkFiles.get(folder_name))
        for batch in batches:
            columns = classifier.probabilities(batch.column("text").to_pylist()).T
            yield pa.RecordBatch.from_arrays(
                [*batch.columns, *map(pa.array, columns)], [*batch.schema.names, *PROBABILITIES.names]
            )

    return add_probabilities


@cache
def open_classifier(folder: str) -> exports.Classifier:
    """Return the classifier in a local folder, and lower the CPU priority of this process.

    A Python worker opens it once for all its tasks.
    """
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    return exports.open_classifier(Path(folder), threads=1)
