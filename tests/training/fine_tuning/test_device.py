import pytest
import torch

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


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_container_is_read_from_both_versions_of_cgroup(files, cpus, tmp_path) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert device._cpu_quota(tmp_path) == cpus


def test_threads_never_exceed_the_quota(monkeypatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 32)
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr(device, "_cpu_quota", lambda: 3)
    assert device.choose_threads() == 3
    monkeypatch.setattr(device, "_cpu_quota", lambda: None)
    assert device.choose_threads() == 16
