"""The model that MLflow loads: `mlflow.pyfunc.load_model(uri).predict(texts)`.

MLflow copies this file, the package onnx_model and the modules that it imports. It runs where `training` is
not installed.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel

from contracts.labels import LABELS, PROBABILITY_COLUMNS
from onnx_model.exports import open_classifier

TEXT_COLUMN = "text"


def to_texts(model_input: Any) -> list[str]:
    """Return the texts of a frame with the column `text`, a series, a list, or one text.

    The scoring server passes JSON: one text, texts, `{"text": ...}` or a list of such objects.

    Raises:
        MlflowException: there is no column `text`, or a text is not a string. The scoring server answers 400.
    """
    if isinstance(model_input, str):
        return [model_input]
    if isinstance(model_input, dict):
        is_one_text = all(isinstance(value, str) for value in model_input.values())
        model_input = pd.DataFrame([model_input] if is_one_text else model_input)
    elif isinstance(model_input, list) and model_input and isinstance(model_input[0], dict):
        model_input = pd.DataFrame(model_input)
    if isinstance(model_input, pd.DataFrame):
        if TEXT_COLUMN not in model_input.columns:
            columns = ", ".join(map(repr, model_input.columns))
            raise MlflowException.invalid_parameter_value(
                f"the input has no column {TEXT_COLUMN!r}; its columns are {columns}"
            )
        model_input = model_input[TEXT_COLUMN]
    texts = list(model_input)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise MlflowException.invalid_parameter_value(
                f"text {row} is not a string but has the type {type(text).__name__}"
            )
    return texts


class TweetClassifier(PythonModel):
    """Texts -> p_negative, p_neutral, p_positive, label (-1, 0, 1) and score (p_positive - p_negative)."""

    def load_context(self, context: Any) -> None:
        """Load the graph or the weights that are used for scoring."""
        self._classifier = open_classifier(Path(context.artifacts["onnx"]))

    # `model_input` is anything that `to_texts` accepts. MLflow warns about other type hints, or converts the
    # input to them: a frame to its first column, for example.
    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row per text, with the index of a frame or series."""
        index = model_input.index if isinstance(model_input, pd.DataFrame | pd.Series) else None
        probabilities = self._classifier.probabilities(to_texts(model_input))
        scored = pd.DataFrame(probabilities, columns=list(PROBABILITY_COLUMNS), index=index)
        scored["label"] = np.asarray(LABELS)[probabilities.argmax(axis=1)]
        scored["score"] = scored["p_positive"] - scored["p_negative"]
        return scored


mlflow.models.set_model(TweetClassifier())
