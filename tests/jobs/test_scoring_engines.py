"""Both engines give the probabilities of PyTorch, also for texts that tokenizers split differently."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from benchmarks.varied_tweets import tweets
from contracts.exported_model import ModelMetadata
from onnx_model.classifier import OnnxClassifier
from onnx_model.exports import open_classifier
from spark_jobs.scoring import onnx_engine, sparknlp_engine
from spark_jobs.scoring.scorable_model import ScorableModel
from tests.spark_jobs.scorable_models import TinyModel, make_tiny_model
from training.models.presets import NgramConfig
from training.ngrams import export_ngrams, fit_ngrams

HARD_TEXTS = [
    "",
    " \n ",
    "#autism and @nurse: it's 100% safe!!! :-)",
    "naïve café ÉCOLE İstanbul ẞ",
    "疫苗是安全的 ワクチン 백신",
    "💉💉 ❤️ 👩‍⚕️",
    "a" * 150,
    "one, two; " * 40,  # more tokens than max_length_tokens
    '<user> said "no" – <url> &amp; …',
    "$5 + 3 = 8 ^ ~ | ` < >",
]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    [batch] = tweets(500, seed=11)
    return [*batch["safe_text"].to_pylist(), *HARD_TEXTS]


@pytest.fixture(scope="module")
def bert(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return make_tiny_model(tmp_path_factory.mktemp("engines") / "bert-1", "bert", texts)


def scores_of(engine, spark: SparkSession, texts: list[str], model: ScorableModel) -> np.ndarray:
    rows = spark.createDataFrame(list(enumerate(texts)), "row int, text string").repartition(3)
    scored = {
        row.row: (row.p_negative, row.p_neutral, row.p_positive)
        for row in engine.score(rows, model).collect()
    }
    return np.array([scored[row] for row in range(len(texts))])


def test_onnx_runtime_gives_the_probabilities_of_pytorch(
    spark: SparkSession, texts: list[str], bert: TinyModel
) -> None:
    wanted = bert.probabilities(texts)
    assert np.ptp(wanted, axis=0).min() > 0.02  # otherwise any model would pass
    assert bert.exported.metadata.precision == "float32"
    np.testing.assert_allclose(scores_of(onnx_engine, spark, texts, bert.exported), wanted, atol=1e-4)


def niceness_after_opening(folder: str) -> int:
    onnx_engine.open_classifier(folder)
    return os.getpriority(os.PRIO_PROCESS, 0)


def test_process_that_scores_has_a_low_cpu_priority(bert: TinyModel) -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        assert processes.submit(niceness_after_opening, bert.exported.folder).result() >= 10


def test_spark_nlp_gives_the_probabilities_of_pytorch(
    spark: SparkSession, texts: list[str], bert: TinyModel
) -> None:
    np.testing.assert_allclose(
        scores_of(sparknlp_engine, spark, texts, bert.exported), bert.probabilities(texts), atol=1e-4
    )


def test_baseline_is_scored_in_spark_as_without_it(
    spark: SparkSession, texts: list[str], tmp_path: Path
) -> None:
    labelled = pd.DataFrame({"text": texts, "label": np.arange(len(texts)) % 3 - 1, "agreement": 2 / 3})
    options = {"preset": "tfidf", "text_column": "text", "seed": 1, "max_train_rows": None, "hash_bits": 12}
    facts = {"preset": "tfidf", "text_column": "text", "table_version": 0, "git_commit": "c0ffee"}
    folder = tmp_path / "baseline-1"
    export_ngrams(fit_ngrams(NgramConfig(**options), labelled), folder, **facts, train_label_shares={})
    model = ScorableModel("vaxpulse", "baseline-1", str(folder), ModelMetadata.read(folder))
    hostile = [*texts, "x" * 100_000, "a\x00b", "no " * 30_000]
    wanted = open_classifier(folder).probabilities(hostile)
    assert np.ptp(wanted, axis=0).min() > 0.02
    np.testing.assert_allclose(scores_of(onnx_engine, spark, hostile, model), wanted, atol=1e-12)


def test_other_architectures_give_the_probabilities_of_pytorch_in_onnx_runtime(
    texts: list[str], tmp_path: Path
) -> None:
    for architecture in ("distilbert", "roberta"):
        tiny = make_tiny_model(tmp_path / architecture, architecture, texts)
        classifier = OnnxClassifier(Path(tiny.exported.folder), threads=1)
        np.testing.assert_allclose(
            classifier.probabilities(texts), tiny.probabilities(texts), atol=1e-4, err_msg=architecture
        )
