"""Out of memory and other ways in which an accelerator fails."""

from __future__ import annotations

import gc
import resource
import sys

import torch

_NO_MEMORY = (
    "error: out of memory",  # of CUDA or HIP, outside of PyTorch's own allocator as are the next
    "_ALLOC_FAILED",  # cuBLAS, cuDNN, cuSOLVER, cuFFT, hipBLAS
    "_ALLOCATION_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # its handle takes memory, too
    "unable to find an engine to execute",  # cuDNN: none whose workspace fits, most often
    "can't allocate memory",  # a CPU
    "not enough memory",
    "MPS backend out of memory",
    "Invalid buffer size",  # MPS as well: more than Metal allows at once
)
"""What PyTorch says in a plain RuntimeError where it has no error of its own for it."""

_BROKEN_CONTEXT = ("CUDA error", "HIP error", "device-side assert", "cuDNN error")
"""Errors after which every further call on the device fails as well."""

_HARMLESS = (
    "invalid configuration argument",
    "CUBLAS_STATUS_INVALID_VALUE",
    "CUBLAS_STATUS_NOT_SUPPORTED",
    "CUDNN_STATUS_NOT_SUPPORTED",
)
"""Those of a call that the device refused, and that leave it as it was."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether less work at once would have gone through."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)


def is_device_broken(error: BaseException) -> bool:
    """Whether only a new process gets a working device again."""
    if is_out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    text = str(error)
    return any(it in text for it in _BROKEN_CONTEXT) and not any(it in text for it in _HARMLESS)


def free_cached_memory() -> None:
    """Give the allocator's unused blocks back to the device, and what only cycles hold."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def peak_memory(device: torch.device) -> tuple[int, int]:
    """Most bytes in use, and held by the allocator, since the last call.

    Args:
        device: the model's; unless it is CUDA, both are the process's peak.
    """
    if device.type != "cuda":
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return peak, peak
    peaks = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    return peaks
