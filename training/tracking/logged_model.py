"""The model that MLflow loads: `mlflow.pyfunc.load_model(uri).predict(texts)`.

MLflow copies this file and the packages contracts and onnx_model. It runs where `training` is not installed.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from contracts.labels import LABELS, PROBABILITY_COLUMNS
from onnx_model.classifier import OnnxClassifier


class TweetClassifier(PythonModel):
    """Texts -> p_negative, p_neutral, p_positive, label (-1, 0, 1) and score (p_positive - p_negative)."""

    def load_context(self, context: Any) -> None:
        """Load the graph that is used for scoring."""
        self._classifier = OnnxClassifier(Path(context.artifacts["onnx"]))

    def predict(
        self, context: Any, model_input: list[str], params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row per text."""
        probabilities = self._classifier.probabilities(model_input)
        scored = pd.DataFrame(probabilities, columns=list(PROBABILITY_COLUMNS))
        scored["label"] = np.asarray(LABELS)[probabilities.argmax(axis=1)]
        scored["score"] = scored["p_positive"] - scored["p_negative"]
        return scored


mlflow.models.set_model(TweetClassifier())
