"""OnnxClassifier with a graph whose results are known: the logits of a text are a sum over its words."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from contracts.exit_status import InputError
from contracts.exported_model import GRAPH_FILES, TOKENIZER_FILE, ModelMetadata
from contracts.texts import MAX_TEXT_CHARACTERS
from onnx_model import classifier as classifier_module
from onnx_model.classifier import BATCH_ROWS, OnnxClassifier, has_fast_int8, pad, softmax

# Each word adds its logits, one per class id. The class ids have another order than LABELS.
WORDS = {"[PAD]": (9, 9, 9), "fine": (2, 0, 0), "bad": (0, 3, 0), "map": (0, 0, 1), "[UNK]": (0, 0, 0)}
CLASS_LABELS = (1, -1, 0)
MAX_TOKENS = 6


def expected(text: str, side: str) -> list[float]:
    """Return the probabilities of -1, 0, 1 from the first MAX_TOKENS words and the summary token."""
    tokens = text.split()[:MAX_TOKENS]
    tokens += tokens[-1:] if side == "left" else tokens[:1]
    positive, negative, neutral = np.sum(
        [(0, 0, 0), *(WORDS.get(word, (0, 0, 0)) for word in tokens)], axis=0
    )
    return softmax(np.array([[negative, neutral, positive]], float))[0].tolist()


def write_model(folder: Path, *, side: str = "right", padding: bool = True) -> Path:
    """Write an exported model whose logits are a sum over the words and a summary token.

    As in real models the summary token is the last one with padding on the left, and the first one otherwise.
    """
    tokenizer = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_truncation(MAX_TOKENS)
    if padding:
        tokenizer.enable_padding(direction=side, pad_id=0, pad_token="[PAD]")
    tokenizer.save(str(folder / TOKENIZER_FILE))
    inputs = ("input_ids", "attention_mask")
    table = numpy_helper.from_array(np.array(list(WORDS.values()), np.float32), "table")
    place = numpy_helper.from_array(np.array(-1 if side == "left" else 0, np.int64), "place")
    axes = [
        numpy_helper.from_array(np.array([each], np.int64), name) for each, name in ((1, "one"), (2, "two"))
    ]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "two"], ["weights"]),
        helper.make_node("Mul", ["words", "weights"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "one"], ["sum"], keepdims=0),
        helper.make_node("Gather", ["masked", "place"], ["summary"], axis=1),
        helper.make_node("Add", ["sum", "summary"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sum of words",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "tokens"]) for name in inputs],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 3])],
        [table, place, *axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / GRAPH_FILES["float32"])
    ModelMetadata(
        architecture="sum",
        preset="none",
        text_column="safe_text",
        inputs=inputs,
        max_length_tokens=MAX_TOKENS,
        padding_side=side,
        pad_token_id=0,
        labels=CLASS_LABELS,
        table_version=0,
        train_label_shares={"-1": 0.1, "0": 0.5, "1": 0.4},
        git_commit="none",
    ).write(folder)
    return folder


TEXTS = ["bad", "fine map fine", "map " * 5, "", "bad bad unknown", "fine"] * 5


@pytest.mark.parametrize("side", ["left", "right"])
def test_probabilities_have_the_order_of_the_texts_and_of_the_labels(side: str, tmp_path: Path) -> None:
    classifier = OnnxClassifier(write_model(tmp_path, side=side))
    assert len(TEXTS) > 3 * BATCH_ROWS  # several batches, sorted by length
    np.testing.assert_allclose(
        classifier.probabilities(TEXTS), [expected(text, side) for text in TEXTS], atol=1e-6
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_result_does_not_depend_on_the_other_texts(side: str, tmp_path: Path) -> None:
    classifier = OnnxClassifier(write_model(tmp_path, side=side))
    [alone] = classifier.probabilities(["fine"])
    np.testing.assert_array_equal(classifier.probabilities(["fine", "bad " * 6])[0], alone)


def test_a_long_text_is_truncated(tmp_path: Path) -> None:
    classifier = OnnxClassifier(write_model(tmp_path), threads=1)
    truncated, short = classifier.probabilities(["map " * MAX_TOKENS + "bad " * 1000, "map " * MAX_TOKENS])
    np.testing.assert_array_equal(truncated, short)


def test_no_text_gives_no_row(tmp_path: Path) -> None:
    assert OnnxClassifier(write_model(tmp_path)).probabilities([]).shape == (0, 3)


def test_the_graph_of_the_metadata_is_used_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnx_model.classifier.has_fast_int8", lambda: True)  # on any processor
    folder = write_model(tmp_path)
    replace(ModelMetadata.read(folder), precision="int8").write(folder)
    with pytest.raises(Exception, match=GRAPH_FILES["int8"]):  # there is no such file
        OnnxClassifier(folder)
    assert OnnxClassifier(folder, "float32").probabilities(["bad"])[0].argmax() == 0


def test_a_tokenizer_without_padding_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no padding"):
        OnnxClassifier(write_model(tmp_path, padding=False))


def test_a_folder_without_metadata_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not an exported model"):
        OnnxClassifier(tmp_path)


@pytest.mark.parametrize(("left", "rows"), [(True, [[1, 2], [0, 3]]), (False, [[1, 2], [3, 0]])])
def test_rows_are_padded_on_one_side(left: bool, rows: list[list[int]]) -> None:
    assert pad([[1, 2], [3]], 0, left=left).tolist() == rows


def test_softmax_does_not_overflow() -> None:
    probabilities = softmax(np.array([[1000.0, 1000.0, -1000.0], [0.0, np.log(2), np.log(5)]]))
    np.testing.assert_allclose(probabilities, [[0.5, 0.5, 0.0], [1 / 8, 2 / 8, 5 / 8]], atol=1e-7)


def test_words_after_the_longest_text_are_not_read(tmp_path: Path) -> None:
    classifier = OnnxClassifier(write_model(tmp_path))
    blanks = " " * (MAX_TEXT_CHARACTERS - len("map") - len("bad"))
    found = classifier.probabilities([f"map{blanks}bad", f"map{blanks} bad"])
    assert found.tolist() == [pytest.approx(expected(text, "right")) for text in ("map bad", "map ba")]


@pytest.mark.parametrize(
    ("flags", "is_fast"),
    [
        ("fma avx2 avx512f avx512_vnni", True),
        ("avx2 avx_vnni", True),
        ("fp asimd asimddp", True),
        ("avx2 avx512f", False),
    ],
)
def test_fast_int8_products_are_recognised_by_the_flags_of_the_processor(flags, is_fast, tmp_path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t:\n")
    assert has_fast_int8(info) is is_fast


@pytest.mark.parametrize(("is_fast", "graph"), [(True, "int8"), (False, "float32")])
def test_a_processor_without_fast_int8_products_scores_in_float32(
    is_fast, graph, tmp_path, monkeypatch
) -> None:
    write_model(tmp_path)
    replace(ModelMetadata.read(tmp_path), precision="int8").write(tmp_path)
    model = onnx.load(tmp_path / GRAPH_FILES["float32"])
    onnx.save(model, tmp_path / GRAPH_FILES["int8"])
    (tmp_path / GRAPH_FILES["float32" if graph == "int8" else "int8"]).write_bytes(b"not opened")
    monkeypatch.setattr(classifier_module, "has_fast_int8", lambda: is_fast)
    assert OnnxClassifier(tmp_path).probabilities(["fine"]).shape == (1, 3)
