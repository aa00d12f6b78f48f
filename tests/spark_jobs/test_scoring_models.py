"""Choice of the engine."""

import pytest

from contracts.exit_status import InputError
from contracts.exported_model import NGRAMS
from spark_jobs.scoring.engines import choose_engine


def test_default_engine_is_onnx() -> None:
    assert choose_engine("auto", "bert") == "onnx"
    assert choose_engine("auto", "roberta") == "onnx"
    assert choose_engine("auto", NGRAMS) == "onnx"


def test_requested_engine_is_used() -> None:
    assert choose_engine("sparknlp", "distilbert") == "sparknlp"
    assert choose_engine("onnx", "bert") == "onnx"


@pytest.mark.parametrize("architecture", ["roberta", "xlnet", NGRAMS])
def test_engine_that_cannot_score_the_architecture_is_an_input_error(architecture: str) -> None:
    with pytest.raises(InputError, match=f"supports bert and distilbert, .* is {architecture}: use onnx"):
        choose_engine("sparknlp", architecture)


def test_unknown_engine_is_an_input_error() -> None:
    with pytest.raises(InputError, match="unknown engine 'tensorrt': use auto, onnx or sparknlp"):
        choose_engine("tensorrt", "bert")
