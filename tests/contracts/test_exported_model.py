import json
from dataclasses import replace

import pytest

from contracts.exit_status import InputError
from contracts.exported_model import METADATA_FILE, ModelMetadata

METADATA = ModelMetadata(
    architecture="bert",
    preset="minilm",
    text_column="clean_text",
    inputs=("input_ids", "attention_mask"),
    max_length_tokens=64,
    padding_side="right",
    pad_token_id=0,
    labels=(-1, 0, 1),
    table_version=3,
    train_label_shares={"-1": 0.1, "0": 0.5, "1": 0.4},
    git_commit="0" * 40,
    precision="int8",
    eval_confusion=((5, 2, 1), (3, 40, 6), (0, 4, 30)),
    eval_rows=91,
    validation={"float32": {"accuracy": 0.79}, "int8": {"accuracy": 0.78}},
)


def test_written_metadata_are_read_unchanged(tmp_path):
    METADATA.write(tmp_path)
    assert ModelMetadata.read(tmp_path) == METADATA


def test_defaults_are_written_and_read(tmp_path):
    metadata = replace(METADATA, precision="float32", eval_confusion=(), eval_rows=0, validation={})
    metadata.write(tmp_path)
    assert ModelMetadata.read(tmp_path) == metadata


@pytest.mark.parametrize(("precision", "file"), [("float32", "model.onnx"), ("int8", "model.int8.onnx")])
def test_precision_chooses_the_graph(precision, file):
    assert replace(METADATA, precision=precision).graph_file == file


def test_confusion_is_reordered_by_label():
    metadata = replace(METADATA, labels=(1, -1, 0))
    # Class ids 1, 2, 0 are the labels -1, 0, 1.
    assert metadata.confusion_by_label == ((40, 6, 3), (4, 30, 0), (2, 1, 5))


def test_missing_file_is_bad_input(tmp_path):
    with pytest.raises(InputError, match=f"is not an exported model .*{METADATA_FILE}"):
        ModelMetadata.read(tmp_path)


@pytest.mark.parametrize("name", ["architecture", "inputs", "labels", "git_commit", "eval_confusion"])
def test_missing_attribute_is_bad_input(name, tmp_path):
    METADATA.write(tmp_path)
    values = json.loads((tmp_path / METADATA_FILE).read_text())
    del values[name]
    with pytest.raises(InputError, match=f"is invalid .*{name}"):
        ModelMetadata.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"'])
def test_other_content_is_bad_input(text):
    with pytest.raises(InputError, match="is invalid"):
        ModelMetadata.from_json(text)


def test_unknown_attribute_is_bad_input(tmp_path):
    METADATA.write(tmp_path)
    values = json.loads((tmp_path / METADATA_FILE).read_text()) | {"colour": "red"}
    with pytest.raises(InputError, match="colour"):
        ModelMetadata.from_json(json.dumps(values))


@pytest.mark.parametrize("labels", [(), (0, 1), (0, 1, 2), (-1, 0, 0)])
def test_other_labels_are_bad_input(labels):
    with pytest.raises(InputError, match="this platform requires"):
        replace(METADATA, labels=labels)


def test_unknown_precision_is_bad_input():
    with pytest.raises(InputError, match="unknown precision 'fp32' of the model: use float32 or int8"):
        replace(METADATA, precision="fp32")
