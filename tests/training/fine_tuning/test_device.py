import pytest
import torch
from joblib.externals.loky.backend import context

from training.fine_tuning import device


@pytest.mark.parametrize(
    ("capability", "precision"),
    [
        ((9, 0), "bfloat16"),
        ((8, 0), "bfloat16"),
        ((7, 5), "float16"),  # a T4 or RTX 6000 only emulates bfloat16
    ],
)
def test_precision_on_a_gpu_depends_on_its_compute_capability(capability, precision, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GPU")
    assert device.choose_device() == device.Device("cuda", "GPU", precision)


@pytest.mark.parametrize(
    ("avx512_bf16", "amx", "precision"),
    [(True, False, "bfloat16"), (False, True, "bfloat16"), (False, False, "float32")],
)
def test_precision_on_a_cpu_is_bfloat16_only_with_hardware_support(
    avx512_bf16, amx, precision, monkeypatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    chosen = device.choose_device()
    assert (chosen.kind, chosen.precision) == ("cpu", precision)
    assert chosen.name


def test_threads_never_exceed_the_quota_of_a_container(monkeypatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 32)
    monkeypatch.setattr(context.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(context.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda _: 3)  # reads /sys/fs/cgroup
    assert device.choose_threads() == 3
    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda cpus: cpus)
    assert device.choose_threads() == 16
