"""The architecture of every preset with random weights: training, export, and the logged model."""

import json
from functools import partial

import mlflow
import onnx
import pytest
from transformers import AutoModelForSequenceClassification, MPNetForSequenceClassification, pipeline

from contracts.exported_model import GRAPH_FILES
from contracts.labels import LABELS
from onnx_model.classifier import OnnxClassifier
from tests.training.tiny_models import MAKERS
from training import train
from training.models.checkpoints import resolve_checkpoint
from training.models.presets import TRANSFORMERS

SHORT = "thanks it works"
MIDDLE = "never refuse the vaccine today"
LONG = "never refuse the vaccine today we my child " * 40
PADDING_SIDES = {"xlnet": "left"}  # all others: right


@pytest.mark.parametrize("architecture", MAKERS)
def test_a_tiny_model_is_trained_exported_and_logged(
    architecture, checkpoint_of, tweets_table, mlflow_store, monkeypatch, tmp_path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    options = [
        "--preset",
        architecture,
        "--checkpoint",
        str(checkpoint_of(architecture)),
        "--tweets",
        tweets_table,
        "--experiment",
        "whole",
    ]
    assert train.main([*options, "--epochs", "1", "--max-train-rows", "32", "--output", str(tmp_path)]) == 0

    record = json.loads((tmp_path / "training_run.json").read_text())
    assert record["onnx_largest_difference"] < 1e-4
    exported = OnnxClassifier(tmp_path / "onnx")
    assert exported.metadata.padding_side == PADDING_SIDES.get(architecture, "right")
    # A result does not depend on the other texts of the batch: padding is masked on both sides.
    alone, with_a_long_text = exported.probabilities([SHORT])[0], exported.probabilities([SHORT, LONG])[0]
    assert alone == pytest.approx(with_a_long_text, abs=1e-5)
    int8 = OnnxClassifier(tmp_path / "onnx", "int8")
    assert int8.probabilities([SHORT])[0] == pytest.approx(alone, abs=0.05)
    assert int8.probabilities([SHORT])[0] == pytest.approx(int8.probabilities([SHORT, LONG])[0], abs=1e-5)
    assert "MatMulIntegerToFloat" in {
        node.op_type for node in onnx.load(tmp_path / "onnx" / GRAPH_FILES["int8"]).graph.node
    }

    mlflow.set_tracking_uri(mlflow_store)
    (run,) = mlflow.search_runs(
        experiment_names=["whole"], filter_string=f"tags.preset = '{architecture}'", output_format="list"
    )
    (model,) = [
        model
        for model in mlflow.search_logged_models(
            experiment_ids=[run.info.experiment_id], output_format="list"
        )
        if model.source_run_id == run.info.run_id
    ]
    scored = mlflow.pyfunc.load_model(model.model_uri).predict([SHORT, LONG])
    assert scored[["p_negative", "p_neutral", "p_positive"]].to_numpy()[0] == pytest.approx(alone, abs=1e-5)

    # Others load the trained head, or nothing.
    if TRANSFORMERS[architecture].pooling == "mean":
        for load in (
            AutoModelForSequenceClassification.from_pretrained,
            partial(pipeline, "text-classification"),
        ):
            with pytest.raises(ValueError, match=f"{architecture}-with-mean-pooling"):
                load(str(tmp_path))
        with pytest.raises(OSError, match=r"model\.safetensors"):
            MPNetForSequenceClassification.from_pretrained(tmp_path)
        assert resolve_checkpoint(str(tmp_path)) == tmp_path / "encoder"
        return
    found = pipeline("text-classification", model=str(tmp_path), top_k=None, batch_size=2)([SHORT, MIDDLE])
    expected = OnnxClassifier(tmp_path / "onnx", "float32").probabilities([SHORT, MIDDLE])
    for answers, probabilities in zip(found, expected, strict=True):
        by_label = {answer["label"]: answer["score"] for answer in answers}
        assert [by_label[str(label)] for label in LABELS] == pytest.approx(probabilities, abs=1e-4)
