"""A classifier from an exported model (`contracts.exported_model`)."""

import os
import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contracts.exit_status import InputError
from contracts.exported_model import GRAPH_FILES, TOKENIZER_FILE, ModelMetadata, Precision
from contracts.labels import LABELS
from contracts.texts import MAX_TEXT_CHARACTERS

# Rows of one inference. Larger batches leave the processor's cache and contain more padding.
BATCH_ROWS = 8
# Names in /proc/cpuinfo of VNNI (x86) and of the dot product (ARM).
INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "asimddp"})


class OnnxClassifier:
    """Probabilities of the labels for any texts. Long texts are truncated."""

    def __init__(self, folder: Path, precision: Precision | None = None, *, threads: int = 0) -> None:
        """Load a graph.

        Args:
            folder: an exported model.
            precision: graph to load; by default the precision in the metadata, or float32 if that is int8 and
                this processor has no fast int8 products.
            threads: threads of one inference; 0 means all cores.

        Raises:
            InputError: the folder is not an exported model, or its tokenizer does not pad.
        """
        # The tokenizer reads this at each batch. In a Spark task its own threads compete with other tasks.
        if threads == 1:
            os.environ["TOKENIZERS_PARALLELISM"] = "false"
        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer

        self.metadata = ModelMetadata.read(folder)
        options = SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 3  # errors
        if precision is None:
            precision = self.metadata.precision if has_fast_int8() else "float32"
        graph = folder / GRAPH_FILES[precision]
        self._session = InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._inputs = [each.name for each in self._session.get_inputs()]
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        if self._tokenizer.padding is None:
            raise InputError(f"{folder / TOKENIZER_FILE} has no padding: train and promote a model again")
        # By default it would pad all texts of a call to the longest one.
        self._padding = self._tokenizer.padding
        self._tokenizer.no_padding()
        self._class_order = [self.metadata.labels.index(label) for label in LABELS]

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return (texts, 3) probabilities of LABELS, in the order of the texts."""
        encodings = self._tokenizer.encode_batch([text[:MAX_TEXT_CHARACTERS] for text in texts])
        # Texts of similar length share a batch, so that it contains little padding.
        by_length = sorted(range(len(texts)), key=lambda row: len(encodings[row]))
        logits = np.empty((len(texts), len(LABELS)))
        for start in range(0, len(texts), BATCH_ROWS):
            rows = by_length[start : start + BATCH_ROWS]
            columns = {
                "input_ids": ([encodings[row].ids for row in rows], self._padding["pad_id"]),
                "attention_mask": ([encodings[row].attention_mask for row in rows], 0),
                "token_type_ids": ([encodings[row].type_ids for row in rows], self._padding["pad_type_id"]),
            }
            left = self._padding["direction"] == "left"
            feeds = {name: pad(*columns[name], left=left) for name in self._inputs}
            logits[rows] = self._session.run(["logits"], feeds)[0]
        return softmax(logits)[:, self._class_order]


@cache
def has_fast_int8(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether this processor has instructions for int8 products.

    Without them int8 is not faster, and on x86 sums of products can overflow in ONNX Runtime's kernels.
    """
    if not cpu_info.is_file():  # not Linux
        return platform.machine() == "arm64"
    return not INT8_FLAGS.isdisjoint(cpu_info.read_text().split())


def pad(rows: Sequence[Sequence[int]], value: int, *, left: bool) -> npt.NDArray[np.int64]:
    """Return (rows, longest row), filled with `value` at the right end, or at the left one.

    >>> pad([[1, 2, 3], [4]], 0, left=True).tolist()
    [[1, 2, 3], [0, 0, 4]]
    """
    longest = max(map(len, rows))
    filled = np.full((len(rows), longest), value, np.int64)
    for filled_row, row in zip(filled, rows, strict=True):
        filled_row[longest - len(row) if left else 0 :][: len(row)] = row
    return filled


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the probabilities of (rows, classes) logits. Subtract the row maximum to avoid an overflow."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities
