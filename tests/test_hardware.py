"""What NVML says of the GPUs, with and without what it may not tell."""

from __future__ import annotations

from types import SimpleNamespace

import pynvml
import pytest

from app.hardware import gpu_stats

GPU = {
    "nvmlInit": lambda: None,
    "nvmlShutdown": lambda: None,
    "nvmlDeviceGetCount": lambda: 1,
    "nvmlDeviceGetHandleByIndex": lambda index: index,
    "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(total=100, free=40),
    "nvmlDeviceGetUUID": lambda _: "GPU-1",
    "nvmlDeviceGetName": lambda _: "a GPU",
    "nvmlDeviceGetUtilizationRates": lambda _: SimpleNamespace(gpu=70, memory=30),
}


@pytest.fixture(autouse=True)
def _one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, function in GPU.items():
        monkeypatch.setattr(pynvml, name, function)


def test_the_load_of_a_gpu() -> None:
    (stats,) = gpu_stats().values()
    assert (stats.utilization_compute, stats.utilization_memory) == (70, 30)


def test_a_partitioned_gpu_does_not_tell_its_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", refuse)
    (stats,) = gpu_stats().values()
    assert (stats.utilization_compute, stats.utilization_memory) == (0, 0)
    assert (stats.memory_total, stats.memory_free) == (100, 40)


def test_without_a_driver_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    assert gpu_stats() == {}
