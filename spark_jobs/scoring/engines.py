"""Engines that score texts.

Each one is a function that adds the columns PROBABILITIES to rows with a column `text`.
"""

from collections.abc import Callable

from pyspark.sql import DataFrame

from contracts.exit_status import InputError
from spark_jobs.scoring import onnx_engine, sparknlp_engine
from spark_jobs.scoring.scorable_model import ScorableModel

Score = Callable[[DataFrame, ScorableModel], DataFrame]
ENGINES: dict[str, Score] = {"onnx": onnx_engine.score, "sparknlp": sparknlp_engine.score}
# Faster than Spark NLP for BERT (docs/benchmarks.md), and it supports all architectures.
DEFAULT_ENGINE = "onnx"


def choose_engine(requested: str, architecture: str) -> str:
    """Return the name of the engine for a model. `requested` is a name or `auto`.

    Raises:
        InputError: the engine does not exist or cannot score the architecture.
    """
    engine = DEFAULT_ENGINE if requested == "auto" else requested
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}: use auto, {' or '.join(ENGINES)}")
    if engine == "sparknlp" and architecture not in sparknlp_engine.CLASSIFIERS:
        supported = " and ".join(sparknlp_engine.CLASSIFIERS)
        raise InputError(
            f"the engine sparknlp supports {supported}, and the model is {architecture}: use {DEFAULT_ENGINE}"
        )
    return engine
