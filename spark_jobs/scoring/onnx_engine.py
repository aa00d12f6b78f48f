"""Scores with ONNX Runtime in Arrow batches, whatever the architecture of the model.

Each executor gets the model's files once, and each of its Python workers opens them once. A batch's rows are sorted by their tokens and run in
small batches of like lengths, which need little padding. One thread a task: Spark runs a task for each core.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark import SparkFiles
from pyspark.sql import DataFrame
from pyspark.sql.types import DoubleType, StructField, StructType

from spark_jobs.scoring.scorable_model import LABELS, ONNX_FILES, TOKENIZER, ModelError, ScorableModel

# Rows that go through the model at once. With more of them what the layers hand on leaves the processor's cache, and more of it is padding.
BATCH_ROWS = 8
PROBABILITIES = StructType(
    [StructField(f"p_{name}", DoubleType(), nullable=False) for name in ("negative", "neutral", "positive")]
)


def score(texts: DataFrame, model: ScorableModel) -> DataFrame:
    """The rows of `texts` (column `text`) with the columns PROBABILITIES."""
    context = texts.sparkSession.sparkContext
    context.addFile(model.folder, recursive=True)
    return texts.mapInArrow(
        score_batches(model, os.path.basename(model.folder)), StructType([*texts.schema, *PROBABILITIES])
    )


def score_batches(
    model: ScorableModel, shipped_as: str
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow: adds PROBABILITIES, of column `text`, to the columns of each batch."""

    def add_probabilities(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        classifier = load(SparkFiles.get(shipped_as), model)
        for batch in batches:
            columns = classifier.probabilities(batch.column("text").to_pylist()).T
            yield pa.RecordBatch.from_arrays(
                [*batch.columns, *map(pa.array, columns)], [*batch.schema.names, *PROBABILITIES.names]
            )

    return add_probabilities


class Classifier:
    """A scorable model in a local folder, opened with ONNX Runtime."""

    def __init__(self, folder: Path, model: ScorableModel, precision: str) -> None:
        # Read whenever a batch is encoded: the tokenizer's own threads would compete with the other tasks.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer

        options = SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = InferenceSession(
            folder / ONNX_FILES[precision], options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        # By itself it would pad all texts of an Arrow batch to the longest.
        if self._tokenizer.padding is None:
            raise ModelError(
                f"{TOKENIZER} of {model} does not say how to pad: train and promote a model again"
            )
        self._padding = self._tokenizer.padding
        self._tokenizer.no_padding()
        self._class_order = [model.labels.index(label) for label in LABELS]

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, 3) probabilities of the LABELS, float64."""
        encodings = self._tokenizer.encode_batch(texts)
        by_length = sorted(range(len(texts)), key=lambda row: len(encodings[row]))
        logits = np.empty((len(texts), len(LABELS)))
        for start in range(0, len(texts), BATCH_ROWS):
            rows = by_length[start : start + BATCH_ROWS]
            columns = {
                "input_ids": ([encodings[row].ids for row in rows], self._padding["pad_id"]),
                "attention_mask": ([encodings[row].attention_mask for row in rows], 0),
                "token_type_ids": ([encodings[row].type_ids for row in rows], self._padding["pad_type_id"]),
            }
            feeds = {
                name: padded(*columns[name], left=self._padding["direction"] == "left")
                for name in self._inputs
            }
            logits[rows] = self._session.run(["logits"], feeds)[0]
        return softmax(logits)[:, self._class_order]


@cache
def load(folder: str, model: ScorableModel) -> Classifier:
    """The classifier in a local folder; a worker opens it once, for all tasks that it will run."""
    return Classifier(Path(folder), model, model.precision)


def padded(rows: Sequence[Sequence[int]], pad: int, left: bool) -> np.ndarray:
    """The rows as int64, filled with `pad` to the length of the longest, at the right end or the `left` one.

    >>> padded([[1, 2, 3], [4]], 0, left=True).tolist()
    [[1, 2, 3], [0, 0, 4]]
    """
    longest = max(map(len, rows))
    filled = np.full((len(rows), longest), pad, np.int64)
    for filled_row, row in zip(filled, rows, strict=True):
        filled_row[longest - len(row) if left else 0 :][: len(row)] = row
    return filled


def softmax(logits: np.ndarray) -> np.ndarray:
    """(rows, classes) logits -> probabilities; shifted by the row's maximum so that nothing overflows."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
