"""Device, precision and threads of a run."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import joblib
import torch


@dataclass(frozen=True)
class Device:
    """The device of a run. `kind` is cuda, mps or cpu.

    `precision` is float32, bfloat16 or float16. It applies to matrix products; weights are float32.
    """

    kind: str
    name: str
    precision: str


def choose_device() -> Device:
    """Return the GPU if there is one (CUDA_VISIBLE_DEVICES hides it), with its fastest safe precision."""
    if torch.cuda.is_available():
        # float16 needs loss scaling and may still overflow. bfloat16 avoids both but needs compute capability
        # 8.
        native_bfloat16 = torch.cuda.get_device_capability()[0] >= 8
        return Device("cuda", torch.cuda.get_device_name(), "bfloat16" if native_bfloat16 else "float16")
    if torch.backends.mps.is_available():
        return Device("mps", f"Apple {platform.machine()}", "float32")
    return Device("cpu", _processor_name(), "bfloat16" if _fast_bfloat16() else "float32")


def processes() -> int:
    """Return the number of processes of this training. torchrun starts one per device."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_number() -> int:
    """Return the number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def torch_device(device: Device) -> torch.device:
    """Return this process's device."""
    if device.kind == "cuda":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(device.kind)


def choose_threads() -> int:
    """Return torch's number of threads (OMP_NUM_THREADS sets it), at most the CPUs that the process may use.

    OpenMP ignores a container's quota, which joblib counts: with 32 threads on a quota of 2 CPUs each step
    waits for throttled threads.
    """
    allowed: int = joblib.cpu_count()
    return min(torch.get_num_threads(), allowed)


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.is_file() else ""
    found = re.search(r"^model name\s*: (.+)", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _fast_bfloat16() -> bool:
    # Without one of these units bfloat16 is emulated and slower than float32.
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
