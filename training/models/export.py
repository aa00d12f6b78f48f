"""Write a trained classifier as an exported model (`contracts.exported_model`)."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from contracts.exit_status import InputError
from contracts.exported_model import GRAPH_FILES, TOKENIZER_FILE, ModelMetadata
from contracts.labels import LABELS
from onnx_model.classifier import OnnxClassifier
from training.models.classifier import Classifier, torch_probabilities
from training.models.int8 import write_int8

OPSET = 20  # the first with GELU as one operator
MAX_DIFFERENCE = 1e-4  # of a probability between PyTorch and ONNX Runtime
PARITY_TEXTS = 200


class LogitsOf(torch.nn.Module):
    """A classifier in the form that the exporter requires: tensors in, one tensor out."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self._model = model
        # XLNet computes 1.0 - mask, which the exporter does not support for integers.
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


def export_onnx(model: Classifier, tokenizer: PreTrainedTokenizerBase, folder: Path, **facts: Any) -> None:
    """Write both graphs, the tokenizer and the metadata into `folder`.

    The metadata has no evaluation yet. Its values that do not follow from the model are `facts`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    inputs = tuple(
        name
        for name in ("input_ids", "attention_mask", "token_type_ids")
        if name in tokenizer.model_input_names
    )
    example = dict(tokenizer(["one two three", "four"], padding=True, return_tensors="pt"))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns about torchvision, which is not needed
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            LogitsOf(model).eval(),
            (),
            str(folder / GRAPH_FILES["float32"]),
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
    write_int8(folder / GRAPH_FILES["float32"], folder / GRAPH_FILES["int8"])
    _write_tokenizer(tokenizer, folder / TOKENIZER_FILE)
    ModelMetadata(
        architecture=model.config.model_type,
        inputs=inputs,
        max_length_tokens=tokenizer.model_max_length,
        padding_side=tokenizer.padding_side,
        pad_token_id=tokenizer.pad_token_id,
        labels=LABELS,
        **facts,
    ).write(folder)


def check_parity(
    folder: Path, model: Classifier, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> float:
    """Return the largest difference between probabilities of the float32 graph and of PyTorch.

    Each side uses its own tokenizer, so that the check covers the exported tokenizer too.

    Raises:
        InputError: the difference is above MAX_DIFFERENCE: the architecture cannot be exported.
    """
    texts = list(texts[:PARITY_TEXTS])
    expected = torch_probabilities(model, tokenizer, texts)
    difference = float(np.abs(OnnxClassifier(folder, "float32").probabilities(texts) - expected).max())
    if difference > MAX_DIFFERENCE:
        raise InputError(
            f"a probability of the ONNX export differs from PyTorch's by {difference:.2g}; "
            f"at most {MAX_DIFFERENCE:g} is allowed"
        )
    return difference


def _write_tokenizer(tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    # The tokenizer's own file lacks lengths and padding, without which a reader would not truncate as in
    # training.
    exported = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    exported.enable_truncation(tokenizer.model_max_length, direction=tokenizer.truncation_side)
    exported.enable_padding(
        direction=tokenizer.padding_side,
        pad_id=tokenizer.pad_token_id,
        pad_type_id=tokenizer.pad_token_type_id,
        pad_token=tokenizer.pad_token,
    )
    exported.save(str(path))
