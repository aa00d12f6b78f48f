"""Distributed data parallel on the CPU: two processes divide each batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.exit_status import BAD_INPUT

REPOSITORY = Path(__file__).parents[2]


def losses(
    folder: Path, processes: int, tweets_table: str, checkpoint: Path
) -> dict[str, list[tuple[int, float]]]:
    folder.mkdir()
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
    ]
    program = [str(Path(__file__).with_name("two_processes.py")), tweets_table, str(checkpoint), str(folder)]
    environment = os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    subprocess.run([*torchrun, *program], check=True, env=environment, timeout=500, capture_output=True)
    return json.loads((folder / "curves.json").read_text())


def test_two_processes_have_the_losses_of_one(tweets_table, tiny_bert, tmp_path) -> None:
    one, two = (losses(tmp_path / str(processes), processes, tweets_table, tiny_bert) for processes in (1, 2))
    assert len(one["train"]) == 16
    for name in ("train", "validation"):
        assert [step for step, _ in one[name]] == [step for step, _ in two[name]]
        assert [loss for _, loss in one[name]] == pytest.approx([loss for _, loss in two[name]], abs=1e-3)


def test_devices_start_a_process_each_and_one_of_them_records_the_model(
    tweets_table, tiny_bert, tmp_path
) -> None:
    command = [sys.executable, "-m", "training.train", "--devices", "2", "--preset", "bert"]
    command += [
        "--tweets",
        tweets_table,
        "--checkpoint",
        str(tiny_bert),
        "--batch-size",
        "16",
        "--epochs",
        "1",
    ]
    command += ["--output", str(tmp_path / "model"), "--state", str(tmp_path / "state")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run(
        command, cwd=REPOSITORY, env=environment, timeout=500, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    record = json.loads((tmp_path / "model" / "training_run.json").read_text())
    assert record["device"]["processes"] == 2
    # A mistake is reported as without several devices.
    for mistake in (["--tweets-version", "9"], ["--batch-size", "15"]):
        mistaken = subprocess.run(
            [*command, *mistake], cwd=REPOSITORY, env=environment, capture_output=True, check=False
        )
        assert (mistaken.returncode, mistaken.stderr.count(b"error: ")) == (BAD_INPUT, 1)
