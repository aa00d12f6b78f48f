"""Writes a trained classifier as ONNX, in float32 and in int8, with all that scoring needs beside it."""

import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from training.errors import TrainingError
from training.int8 import write_int8
from training.labels import ID2LABEL
from training.modelling import Classifier, torch_probabilities
from training.onnx_classifier import OnnxClassifier

FLOAT32, INT8, METADATA = "model.onnx", "model.int8.onnx", "metadata.json"
OPSET = 20  # the first that has GELU as one operator
PARITY = 1e-4  # largest difference of a probability between PyTorch and ONNX Runtime
PARITY_TEXTS = 200


class LogitsOf(torch.nn.Module):
    """A classifier as the exporter wants it: tensors in, one tensor out."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self._model = model
        # XLNet computes 1.0 - mask, which the exporter cannot do with integers.
        self._mask_type = torch.float32 if model.config.model_type == "xlnet" else torch.int64

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(rows, tokens) -> (rows, 3) logits."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        logits: torch.Tensor = self._model(
            input_ids=input_ids, attention_mask=attention_mask.to(self._mask_type), **types
        ).logits
        return logits


def export_onnx(
    model: Classifier, tokenizer: PreTrainedTokenizerBase, folder: Path, facts: dict[str, Any]
) -> None:
    """Write model.onnx, model.int8.onnx, tokenizer.json and metadata.json into `folder`.

    The graphs take int64 (rows, tokens) of each name in `inputs` of the metadata and give (rows, 3) logits. `tokenizer.json` truncates and pads by
    itself. `facts` go into the metadata.
    """
    folder.mkdir(parents=True, exist_ok=True)
    inputs = [
        name
        for name in ("input_ids", "attention_mask", "token_type_ids")
        if name in tokenizer.model_input_names
    ]
    example = dict(tokenizer(["one two three", "four"], padding=True, return_tensors="pt"))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of torchvision, which is not needed
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            LogitsOf(model).eval(),
            (),
            str(folder / FLOAT32),
            kwargs={name: example[name] for name in inputs},
            input_names=inputs,
            output_names=["logits"],
            dynamic_shapes={
                name: {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} for name in inputs
            },
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            verbose=False,
        )
    write_int8(folder / FLOAT32, folder / INT8)
    _write_tokenizer(tokenizer, folder)
    metadata = {
        "id2label": ID2LABEL,
        "inputs": inputs,
        "max_length_tokens": tokenizer.model_max_length,
        "padding_side": tokenizer.padding_side,
        "pad_token_id": tokenizer.pad_token_id,
        "architecture": model.config.model_type,
    }
    (folder / METADATA).write_text(json.dumps(metadata | facts, indent=2), encoding="utf-8")


def add_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Put more into the metadata of an export."""
    metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    (folder / METADATA).write_text(json.dumps(metadata | facts, indent=2), encoding="utf-8")


def check_parity(
    folder: Path, model: Classifier, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> float:
    """The largest difference between a probability of the graph and of PyTorch in float32, each with its own tokenizer, on the first texts.

    Raises:
        TrainingError: it is above PARITY.
    """
    texts = list(texts[:PARITY_TEXTS])
    expected = torch_probabilities(model, tokenizer, texts)
    difference = float(np.abs(OnnxClassifier(folder, FLOAT32).probabilities(texts) - expected).max())
    if difference > PARITY:
        raise TrainingError(
            f"the ONNX export differs from PyTorch by {difference:.2g} in a probability: it must not be used"
        )
    return difference


def _write_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    # The tokenizer's own file says nothing of lengths; with them in it, every reader truncates and pads as training did.
    own = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    own.enable_truncation(tokenizer.model_max_length, direction=tokenizer.truncation_side)
    own.enable_padding(
        direction=tokenizer.padding_side,
        pad_id=tokenizer.pad_token_id,
        pad_type_id=tokenizer.pad_token_type_id,
        pad_token=tokenizer.pad_token,
    )
    own.save(str(folder / "tokenizer.json"))
