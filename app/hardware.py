"""The GPUs of this machine, read through NVML; without a driver there are none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import pynvml

from app.schemas import GPUInfo, GPUStats

Reading = TypeVar("Reading")

logger = logging.getLogger(__name__)


def gpu_info() -> dict[str, GPUInfo]:
    """Name, memory and compute capability of every GPU, by index."""
    return _read_each(_info)


def gpu_stats() -> dict[str, GPUStats]:
    """Memory and utilisation of every GPU, by index."""
    return _read_each(_stats)


def _read_each(read: Callable[[Any], Reading]) -> dict[str, Reading]:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return {}  # no driver, or no GPU
    try:
        found = ((index, _read_one(read, index)) for index in range(pynvml.nvmlDeviceGetCount()))
        return {str(index): reading for index, reading in found if reading is not None}
    finally:
        pynvml.nvmlShutdown()


def _read_one(read: Callable[[Any], Reading], index: int) -> Reading | None:
    """None of a GPU that is lost, or does not tell what is asked."""
    try:
        return read(pynvml.nvmlDeviceGetHandleByIndex(index))
    except pynvml.NVMLError as error:
        logger.warning("GPU %d cannot be read: %s", index, error)
        return None


def _info(handle: Any) -> GPUInfo:
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    return GPUInfo(
        id=pynvml.nvmlDeviceGetUUID(handle),
        name=pynvml.nvmlDeviceGetName(handle),
        memory_total=memory.total,
        memory_free=memory.free,
        major=major,
        minor=minor,
    )


def _stats(handle: Any) -> GPUStats:
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    compute, of_memory = _utilization(handle)
    return GPUStats(
        id=pynvml.nvmlDeviceGetUUID(handle),
        name=pynvml.nvmlDeviceGetName(handle),
        memory_total=memory.total,
        memory_free=memory.free,
        utilization_compute=compute,
        utilization_memory=of_memory,
    )


def _utilization(handle: Any) -> tuple[int, int]:
    """Percent of the time in which kernels ran and memory was used; 0 where it is not told."""
    try:
        rates = pynvml.nvmlDeviceGetUtilizationRates(handle)
    except pynvml.NVMLError_NotSupported:  # GPUs that are partitioned (MIG)
        return 0, 0
    return rates.gpu, rates.memory
