"""Fit the baseline: n-grams of words and characters, TF-IDF weights, multinomial logistic regression."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contracts.exported_model import NGRAMS, NGRAMS_FILE, ModelMetadata
from contracts.labels import LABELS
from contracts.mlflow_names import TRAIN_SAMPLES_PER_SECOND, TRAIN_SECONDS
from onnx_model.classifier import softmax
from onnx_model.ngrams import count_ngrams, new_transformer, score_ngrams, weigh
from training.fine_tuning.targets import class_shares, class_weights
from training.models.presets import NgramConfig

MAX_ITERATIONS = 1000  # about 80 are needed


@dataclass(frozen=True)
class FittedNgrams:
    """The fitted model.

    Attributes:
        weights: as `onnx_model.ngrams.score_ngrams` requires them.
        metrics: duration and speed of the training.
        steps: iterations of the optimiser.
        curves: empty, because the solver reports no losses.
    """

    weights: dict[str, npt.NDArray[np.float64]]
    metrics: dict[str, float]
    steps: int
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return (texts, 3) probabilities of LABELS."""
        return softmax(score_ngrams(texts, self.weights))


def fit_ngrams(config: NgramConfig, rows: pd.DataFrame) -> FittedNgrams:
    """Fit the baseline. Equal rows and configs give equal weights.

    Each row counts once per class, with the class's share of the target as its weight. The columns of `rows`
    are text, label, agreement and optionally a teacher's probabilities.

    Raises:
        InputError: no row has some label.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    began = time.monotonic()
    shares = class_shares(rows, config.targets).astype(np.float64)
    shares *= np.array(class_weights(rows, config.targets, config.class_weight_power))
    row_ids, class_ids = np.nonzero(shares)
    counts = count_ngrams(rows["text"].tolist(), config.hash_bits)
    idf = {analyser: new_transformer().fit(count).idf_ for analyser, count in counts.items()}
    regression = LogisticRegression(C=config.inverse_regularisation, max_iter=MAX_ITERATIONS)
    with threadpool_limits(1):  # the sums of several threads depend on their number
        regression.fit(weigh(counts, idf)[row_ids], class_ids, sample_weight=shares[row_ids, class_ids])
    weights = {f"idf_{analyser}": values for analyser, values in idf.items()} | {
        "coefficients": np.ascontiguousarray(regression.coef_.T),
        "intercepts": regression.intercept_,
    }
    seconds = time.monotonic() - began
    speed = {TRAIN_SECONDS: seconds, TRAIN_SAMPLES_PER_SECOND: len(rows) / seconds}
    return FittedNgrams(weights, speed, int(regression.n_iter_[0]))


def export_ngrams(fitted: FittedNgrams, folder: Path, **facts: Any) -> None:
    """Write the weights and the metadata with `facts` into `folder`. The metadata has no evaluation yet."""
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True)
    # `save_file` would permit only this user to read the file.
    (folder / NGRAMS_FILE).write_bytes(save(fitted.weights))
    ModelMetadata(architecture=NGRAMS, labels=LABELS, **facts).write(folder)
