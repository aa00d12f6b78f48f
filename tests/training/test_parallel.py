import os
import signal
import subprocess
import sys
from pathlib import Path

import joblib
import pytest
import torch

from contracts.exit_status import BAD_INPUT, InputError
from training.command import TransientError
from training.parallel import environments, run_in_parallel

REPOSITORY = Path(__file__).parents[2]
# `wait` writes its process number into the pipe and waits. A number is the exit status; if it is not 0, the
# process ends after another one waits, and prints the number of that process to a file.
CHILD = """
import os, pathlib, signal, sys
pipe = pathlib.Path(os.environ["PIPE"])
if sys.argv[1] == "wait":
    pipe.write_text(f"{os.getpid()}\\n")
    signal.pause()
if status := int(sys.argv[1]):
    pipe.with_suffix(".waiting").write_text(pipe.read_text())
print(sys.argv[1], os.environ["OMP_NUM_THREADS"])
sys.exit(status)
"""


@pytest.fixture
def pipe(tmp_path, monkeypatch) -> Path:
    (tmp_path / "child.py").write_text(CHILD)
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{REPOSITORY}")
    monkeypatch.setenv("PIPE", str(tmp_path / "pipe"))
    return tmp_path / "pipe"


def test_each_process_has_its_share_of_the_cpus_and_a_gpu(monkeypatch) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)

    def values(name: str) -> list[str]:
        return [environment[name] for environment in environments(3)]

    assert (values("OMP_NUM_THREADS"), values("CUDA_VISIBLE_DEVICES")) == (["2"] * 3, ["0", "1", "0"])
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert (values("OMP_NUM_THREADS"), values("CUDA_VISIBLE_DEVICES")) == (["5"] * 3, ["4", "7", "4"])


def test_outputs_are_in_the_order_of_the_commands(pipe, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert run_in_parallel("child", [["0"], ["00"], ["000"]], 2) == ["0 1\n", "00 1\n", "000 1\n"]


@pytest.mark.parametrize(("status", "error"), [(BAD_INPUT, InputError), (1, TransientError)])
def test_a_process_that_fails_ends_the_others(status, error, pipe) -> None:
    with pytest.raises(error, match=f"child {status} ended with status {status}"):
        run_in_parallel("child", [["wait"], [str(status)]], 2)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pipe.with_suffix(".waiting").read_text()), 0)


def test_an_interruption_ends_the_processes(pipe) -> None:
    code = (
        "from training import command, parallel; "
        "command.run(lambda: parallel.run_in_parallel('child', [['wait'], ['wait'], ['wait']], 2))"
    )
    with (
        os.fdopen(os.open(pipe, os.O_RDWR)) as numbers,
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as parent,
    ):
        children = [int(numbers.readline()) for _ in range(2)]
        parent.send_signal(signal.SIGTERM)
        assert parent.wait() == 128 + signal.SIGTERM
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
