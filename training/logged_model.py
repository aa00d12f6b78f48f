"""What MLflow loads as the model: `mlflow.pyfunc.load_model(uri).predict(texts)`. MLflow runs this file; nothing else imports it."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel

from training.onnx_classifier import OnnxClassifier

CLASS_NAMES = {-1: "negative", 0: "neutral", 1: "positive"}


class TweetClassifier(PythonModel):
    """Texts -> p_negative, p_neutral, p_positive, label (-1, 0, 1) and score (p_positive - p_negative)."""

    def load_context(self, context: Any) -> None:
        """Load the graph that scores."""
        self._classifier = OnnxClassifier(Path(context.artifacts["onnx"]))

    def predict(
        self, context: Any, model_input: list[str], params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """One row for each text."""
        labels = [int(label) for label in self._classifier.metadata["id2label"].values()]
        columns = [f"p_{CLASS_NAMES[label]}" for label in labels]
        answers = pd.DataFrame(self._classifier.probabilities(model_input), columns=columns)
        answers["label"] = [labels[class_id] for class_id in answers[columns].to_numpy().argmax(axis=1)]
        answers["score"] = answers["p_positive"] - answers["p_negative"]
        return answers


mlflow.models.set_model(TweetClassifier())
