"""A trained classifier without PyTorch: ONNX Runtime and the `tokenizers` library on the files that `training/export.py` writes.

It travels with the model in MLflow and runs where PyTorch is not installed, so it imports nothing else of this project.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

BATCH_SIZE = 8  # larger batches leave the processor's cache, and more of them is padding


class OnnxClassifier:
    """Probabilities of the classes for any texts; long ones are truncated."""

    def __init__(self, folder: Path, graph: str | None = None, threads: int = 0) -> None:
        """Load a graph from a folder of `export_onnx`: that of this name, or the one that scores; with `threads` 0 ONNX Runtime takes all cores."""
        self.metadata: dict[str, Any] = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors
        self._session = onnxruntime.InferenceSession(
            str(folder / (graph or self.metadata.get("graph", "model.onnx"))),
            options,
            providers=["CPUExecutionProvider"],
        )
        self._inputs = [each.name for each in self._session.get_inputs()]

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, classes), float64, in the order of the texts; columns in the order of `id2label`."""
        answers = np.zeros((len(texts), len(self.metadata["id2label"])))
        # Texts of like lengths share a batch, so that little of it is padding.
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for start in range(0, len(order), BATCH_SIZE):
            rows = order[start : start + BATCH_SIZE]
            encodings = self._tokenizer.encode_batch([texts[row] for row in rows])
            columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
            feed = {
                name: np.array([getattr(each, columns[name]) for each in encodings], dtype=np.int64)
                for name in self._inputs
            }
            (logits,) = self._session.run(["logits"], feed)
            exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
            answers[rows] = exponentials / exponentials.sum(axis=1, keepdims=True)
        return answers
