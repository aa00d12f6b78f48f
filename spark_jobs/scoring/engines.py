"""The engines that score texts: each is a function that adds the columns PROBABILITIES to rows with a column `text`."""

from collections.abc import Callable

from pyspark.sql import DataFrame

from spark_jobs.scoring import onnx_engine, sparknlp_engine
from spark_jobs.scoring.scorable_model import ScorableModel

Score = Callable[[DataFrame, ScorableModel], DataFrame]
ENGINES: dict[str, Score] = {"onnx": onnx_engine.score, "sparknlp": sparknlp_engine.score}
# The faster one where both can score (docs/benchmarks.md, BERT), and the only one elsewhere.
FASTEST = "onnx"


def choose_engine(asked: str, architecture: str) -> tuple[str, str]:
    """The name of the engine for a model, and a sentence that says why; `asked` is auto, onnx or sparknlp."""
    if asked == "auto":
        return FASTEST, f"engine {FASTEST}: the faster one"
    if asked == "sparknlp" and architecture not in sparknlp_engine.CLASSIFIERS:
        known = " and ".join(sparknlp_engine.CLASSIFIERS)
        return (
            "onnx",
            f"engine onnx: Spark NLP cannot import {architecture} right (only {known}), so ONNX Runtime scores",
        )
    return asked, f"engine {asked}: as asked"
