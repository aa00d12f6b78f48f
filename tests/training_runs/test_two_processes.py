"""Distributed data parallel on the CPU: two processes divide each batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
