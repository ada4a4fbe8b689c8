"""Which device the model runs on, and in which type."""

from __future__ import annotations

import torch

from app.diffusion.weights import Weights
from app.errors import ModelNotLoaded
from app.settings import Device
from app.wording import first_line

_BY_NAME = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_BY_STORED = {"BF16": torch.bfloat16, "F16": torch.float16}

_REMEDIES = {
    Device.CUDA: "start the container with `--gpus all`, install a CUDA build of PyTorch, "
    "or set DEVICE=auto",
    Device.MPS: "run on a Mac with Apple silicon, or set DEVICE=auto",
}


def choose_device(wanted: Device) -> torch.device:
    """The device for the setting DEVICE: for `auto` CUDA, else MPS, else the CPU.

    Raises:
        ModelNotLoaded: the device asked for is not here.
    """
    present = {
        Device.CUDA: torch.cuda.is_available(),
        Device.MPS: torch.backends.mps.is_available(),
        Device.CPU: True,
    }
    if wanted is Device.AUTO:
        wanted = next(device for device, is_present in present.items() if is_present)
    if not present[wanted]:
        raise ModelNotLoaded(
            f"DEVICE={wanted} but PyTorch {torch.__version__} finds no such device here: "
            f"{_REMEDIES[wanted]}."
        )
    return torch.device(wanted.value)


def named_device(name: str, setting: str) -> torch.device:
    """The device of this name in torch's notation: `cpu`, `cuda`, `cuda:1`, `mps`.

    Args:
        name: the value of a setting.
        setting: the setting's name, for the message.

    Raises:
        ModelNotLoaded: no such device exists here.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = first_line(error)
        raise ModelNotLoaded(
            f"{setting}={name} is not a device that PyTorch can use here ({reason}): "
            f"choose cpu, cuda, cuda:0 … or mps, or leave {setting} unset."
        ) from error
    return device


def choose_dtype(
    device: torch.device,
    bfloat16: bool,
    gpu_dtype: str | None,
    weights: Weights,
    stored: str | None,
) -> torch.dtype:
    """Type of the weights: what was asked for, else what the device and the files suit.

    Half precision is for GPUs: CPUs compute float16 slowly, or not at all.

    Args:
        device: where the model runs.
        bfloat16: the setting BFLOAT16, obeyed on every device.
        gpu_dtype: what the model's profile wants on a GPU.
        weights: the files; any of the variant fp16 makes it float16.
        stored: type of the denoiser's stored weights, kept if it is a half one.
    """
    if bfloat16:
        return torch.bfloat16
    if not is_gpu(device):
        return torch.float32
    if gpu_dtype is not None:
        return _BY_NAME[gpu_dtype]
    if weights.fp16:
        return torch.float16
    return _BY_STORED.get(stored or "", torch.float32)


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on a device, without waiting for it where that is safe.

    On MPS it is not: PyTorch reads the memory of a tensor that may be gone by then.
    """
    return tensor.to(device, non_blocking=device.type == "cuda")


def is_gpu(device: torch.device) -> bool:
    """Whether half precision is worth having on the device."""
    return device.type != "cpu"
