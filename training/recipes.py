"""The two ways to train a model: fine-tune a transformer, or fit the baseline on n-grams.

Both have the same methods, which are described at `FineTuning`. They import torch, transformers or
scikit-learn only when they are called, because that takes seconds.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from training.models.checkpoints import checkpoint_sha256, resolve_checkpoint
from training.models.presets import NgramConfig, TrainingConfig
from training.tracking.provenance import library_versions

LogMetrics = Callable[[dict[str, float], int], None]


class FineTuning:
    """Fine-tune the weights of a transformer and export it as ONNX.

    Attributes:
        requirements: packages that the logged model needs in addition to MLflow's.
        checkpoint: folder with the weights to start from.
    """

    requirements: tuple[str, ...] = ("onnxruntime", "tokenizers")

    def __init__(self, config: TrainingConfig) -> None:
        """Locate the weights. Raise InputError or TransientError as `resolve_checkpoint` does."""
        self._config, self.checkpoint = config, resolve_checkpoint(config.checkpoint)

    @cached_property
    def weights_sha256(self) -> str:
        """Return the SHA-256 of the weights to start from."""
        return checkpoint_sha256(self.checkpoint)

    def digest(self) -> str:
        """Return the SHA-256 of everything but the rows that determines the result."""
        return self._config.digest(self.weights_sha256, library_versions())

    def device(self) -> dict[str, Any]:
        """Return kind, name and precision of the device, and the number of threads and processes."""
        from training.fine_tuning.device import choose_device, choose_threads, processes

        return asdict(choose_device()) | {"threads": choose_threads(), "processes": processes()}

    def fit(
        self, rows: pd.DataFrame, validation: pd.DataFrame, state: Path, log: LogMetrics, **intervals: Any
    ) -> Any:
        """Return the trained model: `metrics`, `curves` (losses by step), `steps`, `probabilities(texts)`.

        The arguments are those of `fine_tune`; `intervals` are `log_every_steps` and `validate_every_steps`.
        """
        from training.fine_tuning.fine_tune import fine_tune

        return fine_tune(self._config, self.checkpoint, rows, validation, state, log, **intervals)

    def export(
        self, fitted: Any, onnx: Path, weights: Path, texts: Sequence[str], **facts: Any
    ) -> dict[str, float]:
        """Write the exported model and the weights for another training. Return facts about the export.

        Args:
            fitted: result of `fit`.
            onnx: folder for the exported model.
            weights: folder for the weights. It is not created if no training can start from them.
            texts: texts on which the export must equal the trained model.
            facts: preset, text_column, table_version, train_label_shares and git_commit for the metadata.
        """
        from training.models.classifier import save_classifier
        from training.models.export import check_parity, export_onnx

        export_onnx(fitted.model, fitted.tokenizer, onnx, **facts)
        save_classifier(fitted.model, fitted.tokenizer, weights)
        return {"onnx_largest_difference": check_parity(onnx, fitted.model, fitted.tokenizer, texts)}


class NgramRegression:
    """Fit the baseline. It takes seconds and has no state, no losses and no weights to start from."""

    requirements: tuple[str, ...] = ("scikit-learn", "scipy", "safetensors")
    weights_sha256 = ""

    def __init__(self, config: NgramConfig) -> None:
        self._config = config

    def digest(self) -> str:
        return self._config.digest(self.weights_sha256, library_versions())

    def device(self) -> dict[str, Any]:
        return {"kind": "cpu", "name": "cpu", "precision": "float64", "threads": 1, "processes": 1}

    def fit(self, rows: pd.DataFrame, *_: Any, **__: Any) -> Any:
        from training.ngrams import fit_ngrams

        return fit_ngrams(self._config, rows)

    def export(self, fitted: Any, onnx: Path, *_: Any, **facts: Any) -> dict[str, float]:
        from training.ngrams import export_ngrams

        export_ngrams(fitted, onnx, **facts)
        return {}


def choose_recipe(config: TrainingConfig | NgramConfig) -> FineTuning | NgramRegression:
    """Return how to train a config."""
    return NgramRegression(config) if isinstance(config, NgramConfig) else FineTuning(config)
