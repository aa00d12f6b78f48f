"""What a scorable model says of itself, which engine and precision score with it, and what an engine pads."""

from typing import Any

import pytest

from spark_jobs.scoring.engines import choose_engine
from spark_jobs.scoring.scorable_model import ModelError, parse_metadata

METADATA: dict[str, Any] = {
    "id2label": {"0": "1", "1": "-1", "2": "0"},
    "architecture": "bert",
    "text_column": "safe_text",
    "max_length_tokens": 128,
    "eval_confusion": [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
    "delta_version": 3,
}


def model_of(**changes: Any):
    return parse_metadata(METADATA | changes, "hdfs://models/tiny/1", "tiny", "1")


def test_labels_are_those_of_the_class_ids_whatever_their_order() -> None:
    assert model_of().labels == (1, -1, 0)


def test_confusion_is_in_the_order_of_the_labels() -> None:
    # class ids 1, 2, 0 are the labels -1, 0, 1
    assert model_of().confusion == ((5, 6, 4), (8, 9, 7), (2, 3, 1))


@pytest.mark.parametrize(("graph", "precision"), [("model.int8.onnx", "int8"), ("model.onnx", "fp32")])
def test_the_graph_that_the_trainer_chose_scores(graph: str, precision: str) -> None:
    assert model_of(graph=graph).precision == precision


def test_a_model_of_before_the_trainer_chose_is_used_in_float32() -> None:
    assert "graph" not in METADATA
    assert model_of().precision == "fp32"


@pytest.mark.parametrize("missing", sorted(METADATA))
def test_metadata_that_lack_something_are_an_error_that_says_what_to_do(missing: str) -> None:
    metadata = {name: value for name, value in METADATA.items() if name != missing}
    with pytest.raises(
        ModelError,
        match=rf"metadata.json of tiny version 1 is not as agreed .*{missing}.*: train and promote a model again",
    ):
        parse_metadata(metadata, "f", "tiny", "1")


def test_a_model_of_other_labels_is_refused() -> None:
    with pytest.raises(ModelError, match=r"knows the labels \(0, 1, 2\)"):
        model_of(id2label={"0": "0", "1": "1", "2": "2"})


def test_the_fastest_engine_is_chosen_unless_somebody_asks() -> None:
    assert choose_engine("auto", "bert")[0] == "onnx"
    assert choose_engine("sparknlp", "distilbert")[0] == "sparknlp"
    assert choose_engine("onnx", "bert")[0] == "onnx"


@pytest.mark.parametrize("architecture", ["roberta", "xlnet"])
def test_what_spark_nlp_cannot_import_right_goes_to_onnx_runtime_and_says_so(architecture: str) -> None:
    engine, message = choose_engine("sparknlp", architecture)
    assert engine == "onnx"
    assert f"Spark NLP cannot import {architecture} right (only bert and distilbert)" in message
