"""A scorable model: a folder with what the trainer exports (training/export.py). It is all that training and scoring share.

model.onnx, model.int8.onnx         int64 (rows, tokens) of input_ids, attention_mask, perhaps token_type_ids -> logits (rows, 3)
tokenizer.json                      for the library `tokenizers`; it truncates and pads as training did
metadata.json                       what a reader must know besides, see `ScorableModel`
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

METADATA = "metadata.json"
TOKENIZER = "tokenizer.json"
ONNX_FILES = {"fp32": "model.onnx", "int8": "model.int8.onnx"}
LABELS = (-1, 0, 1)


class ModelError(Exception):
    """The folder is no scorable model: one line that says what is wrong and what to do about it."""


@dataclass(frozen=True)
class ScorableModel:
    """A model in a `folder` of the tables' file system.

    `labels` are those of the class ids 0, 1, 2 (columns of the logits). `precision` is that of the graph which the trainer chose and measured,
    fp32 or int8. `confusion` counts the eval side: rows the true label, columns the predicted one, in the order of LABELS. `table_version` is the
    version of tweets_clean that the model has learnt from.
    """

    name: str
    version: str
    folder: str
    architecture: str
    text_column: str
    max_length_tokens: int
    labels: tuple[int, ...]
    precision: str
    confusion: tuple[tuple[int, ...], ...]
    table_version: int

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


def read_model(spark: SparkSession, folder: str, name: str, version: str) -> ScorableModel:
    """The model in `folder`.

    Raises:
        ModelError: its metadata lack something or are about other labels than -1, 0 and 1.
    """
    rows = spark.read.text(f"{folder}/{METADATA}", wholetext=True).collect()
    return parse_metadata(json.loads(rows[0].value), folder, name, version)


def parse_metadata(metadata: Mapping[str, Any], folder: str, name: str, version: str) -> ScorableModel:
    """The model that `metadata` describe; raises ModelError as `read_model` does."""
    try:
        labels = tuple(
            int(metadata["id2label"][class_id]) for class_id in sorted(metadata["id2label"], key=int)
        )
        if sorted(labels) != list(LABELS):
            raise ModelError(
                f"{name} version {version} knows the labels {labels}, not {LABELS}: it is no model of this platform"
            )
        order = [labels.index(label) for label in LABELS]
        confusion = metadata["eval_confusion"]
        precisions = {file: precision for precision, file in ONNX_FILES.items()}
        return ScorableModel(
            name=name,
            version=version,
            folder=folder,
            architecture=metadata["architecture"],
            text_column=metadata["text_column"],
            max_length_tokens=int(metadata["max_length_tokens"]),
            labels=labels,
            precision=precisions[metadata.get("graph", ONNX_FILES["fp32"])],
            confusion=tuple(tuple(int(confusion[row][column]) for column in order) for row in order),
            table_version=int(metadata["delta_version"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelError(
            f"{METADATA} of {name} version {version} is not as agreed ({error!r}): train and promote a model again"
        ) from error
