"""The engine scores the real export of the trainer."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from deltalake import write_deltalake
from pyspark.sql import SparkSession
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from contracts.labels import LABELS, PROBABILITY_COLUMNS
from spark_jobs.scoring import onnx_engine
from spark_jobs.scoring.scorable_model import read_model
from tests.training.conftest import invented_tweets
from tests.training.tiny_models import bert

REPOSITORY = Path(__file__).parents[2]


def test_export_of_the_trainer_has_the_probabilities_of_the_trained_model(
    spark: SparkSession, tmp_path: Path
) -> None:
    tweets = invented_tweets()
    write_deltalake(tmp_path / "tweets_clean", pa.Table.from_pandas(tweets, preserve_index=False))
    checkpoint = bert(tmp_path / "checkpoint", tweets["safe_text"].tolist())
    options = ["--preset=bert", f"--checkpoint={checkpoint}", f"--tweets={tmp_path}/tweets_clean"]
    options += ["--epochs=2", "--batch-size=16", "--learning-rate=0.003", f"--output={tmp_path}/trained"]
    environment = os.environ | {"VAXPULSE_STATE": f"{tmp_path}/state", "OMP_NUM_THREADS": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "training.train", *options]
    subprocess.run(command, check=True, cwd=REPOSITORY, env=environment, timeout=300)

    # Another test on this session has given Spark a folder with the name onnx.
    export = (tmp_path / "trained" / "onnx").rename(tmp_path / "trained" / "exported")
    model = read_model(spark, str(export), "trained", "1")
    assert sum(map(sum, model.metadata.confusion_by_label)) == model.metadata.eval_rows
    texts = tweets["safe_text"].tolist()[:40]
    rows = spark.createDataFrame(list(enumerate(texts)), "row int, text string")
    scored = onnx_engine.score(rows, model).orderBy("row").select(*PROBABILITY_COLUMNS).collect()

    trained = AutoModelForSequenceClassification.from_pretrained(tmp_path / "trained").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "trained")
    with torch.no_grad():
        logits = trained(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    order = [trained.config.label2id[str(label)] for label in LABELS]
    tolerance = 1e-4 if model.metadata.precision == "float32" else 0.05
    np.testing.assert_allclose(scored, logits.softmax(dim=1)[:, order].numpy(), atol=tolerance)
