"""An exported model: a folder that the trainer writes and that scoring, evaluation and MLflow's pyfunc read.

| file | content |
|---|---|
| `model.onnx`, `model.int8.onnx` | graph, in 32-bit floating point and in 8-bit integers |
| `tokenizer.json` | for the library `tokenizers`; it truncates and pads as in training |
| `ngrams.safetensors` | instead of graphs and tokenizer: weights of the architecture NGRAMS |
| `metadata.json` | `ModelMetadata` |

A graph maps int64 (rows, tokens) `input_ids`, `attention_mask` and, for some models, `token_type_ids` to
(rows, 3) `logits`. The weights of n-grams are those of `onnx_model.ngrams.score_ngrams`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

from contracts.exit_status import InputError
from contracts.labels import LABELS

Precision = Literal["float32", "int8"]

METADATA_FILE = "metadata.json"
TOKENIZER_FILE = "tokenizer.json"
GRAPH_FILES: dict[Precision, str] = {"float32": "model.onnx", "int8": "model.int8.onnx"}
NGRAMS_FILE = "ngrams.safetensors"
NGRAMS = "ngrams"  # architecture of the models that are no transformers


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """Content of `metadata.json`.

    Attributes:
        architecture: `model_type` of transformers, for example `bert`, or NGRAMS.
        preset: preset that the model was trained with.
        text_column: column of `tweets_clean` that the model was trained on.
        inputs: names of the graph's inputs. NGRAMS has no inputs, tokens and padding.
        max_length_tokens: longer texts are truncated to this length.
        padding_side: `left` or `right`.
        pad_token_id: id of the padding token.
        labels: label of each class id, in the order of the columns of the logits.
        table_version: Delta version of `tweets_clean` that the model was trained on.
        train_label_shares: share of each label in the training rows, by label.
        git_commit: commit of the trainer.
        precision: graph that is used for scoring. It was chosen on the validation part.
        eval_confusion: confusion matrix of the eval side by class id (rows: true, columns: predicted).
        eval_rows: rows of the eval side.
        validation: metrics of each precision on the validation part.
    """

    architecture: str
    preset: str
    text_column: str
    inputs: tuple[str, ...] = ()
    max_length_tokens: int | None = None
    padding_side: str | None = None
    pad_token_id: int | None = None
    labels: tuple[int, ...]
    table_version: int
    train_label_shares: Mapping[str, float]
    git_commit: str
    precision: Precision = "float32"
    eval_confusion: tuple[tuple[int, ...], ...] = ()
    eval_rows: int = 0
    validation: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise InputError if the labels are not a permutation of LABELS or the precision is unknown."""
        if sorted(self.labels) != sorted(LABELS):
            raise InputError(f"the model has the labels {self.labels}; this platform requires {LABELS}")
        if self.precision not in GRAPH_FILES:
            raise InputError(
                f"unknown precision {self.precision!r} of the model: use {' or '.join(GRAPH_FILES)}"
            )

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Return the precisions in which the model was exported."""
        return ("float32",) if self.architecture == NGRAMS else tuple(GRAPH_FILES)

    @property
    def graph_file(self) -> str:
        """Return the name of the graph that is used for scoring."""
        return GRAPH_FILES[self.precision]

    @property
    def confusion_by_label(self) -> tuple[tuple[int, ...], ...]:
        """Return `eval_confusion` with rows and columns in the order of LABELS."""
        order = [self.labels.index(label) for label in LABELS]
        return tuple(tuple(self.eval_confusion[row][column] for column in order) for row in order)

    def write(self, folder: Path) -> None:
        """Write `metadata.json` into a folder."""
        (folder / METADATA_FILE).write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the metadata in a folder.

        Raises:
            InputError: the file is missing or invalid.
        """
        try:
            text = (folder / METADATA_FILE).read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"{folder} is not an exported model ({error.strerror}: {METADATA_FILE})"
            ) from error
        return cls.from_json(text)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the metadata in a JSON document.

        Raises:
            InputError: the text is not JSON, or an attribute is missing or unknown.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            values |= {name: tuple(values[name]) for name in ("inputs", "labels")}
            values["eval_confusion"] = tuple(tuple(row) for row in values["eval_confusion"])
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            expected = ", ".join(each.name for each in fields(cls))
            raise InputError(
                f"{METADATA_FILE} is invalid ({error!r}). Expected attributes: {expected}. "
                "Train and promote a new model"
            ) from error
