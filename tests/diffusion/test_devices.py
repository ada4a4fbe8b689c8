"""Which device, and which type."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from app.diffusion.devices import choose_device, choose_dtype, moved, named_device
from app.diffusion.weights import Weights
from app.errors import ModelNotLoaded
from app.settings import Device

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")
PLAIN = Weights(frozenset({"unet"}), frozenset(), frozenset(), frozenset())
FP16 = Weights(frozenset({"unet"}), frozenset({"unet"}), frozenset(), frozenset())


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Which accelerators PyTorch claims to have; change it to taste."""
    found = {"cuda": False, "mps": False}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: found["mps"])
    return found


@pytest.mark.parametrize(
    ("cuda", "mps", "device"),
    [(True, True, CUDA), (True, False, CUDA), (False, True, MPS), (False, False, CPU)],
)
def test_auto(cuda: bool, mps: bool, device: torch.device, present: dict[str, bool]) -> None:
    present |= {"cuda": cuda, "mps": mps}
    assert choose_device(Device.AUTO) == device
    assert choose_device(Device.CPU) == CPU


@pytest.mark.parametrize(
    ("wanted", "remedy"), [(Device.CUDA, "--gpus all"), (Device.MPS, "Apple silicon")]
)
def test_a_missing_device(wanted: Device, remedy: str, present: dict[str, bool]) -> None:
    with pytest.raises(ModelNotLoaded, match=f"DEVICE={wanted} .*{remedy}"):
        choose_device(wanted)


def test_named_device() -> None:
    assert named_device("cpu", "SAFETY_CHECKER_DEVICE") == CPU
    for name in ("gpu", "cuda:99", "cpu:x", "Cpu"):
        with pytest.raises(ModelNotLoaded, match=f"SAFETY_CHECKER_DEVICE={name} ") as caught:
            named_device(name, "SAFETY_CHECKER_DEVICE")
        assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("device", "bfloat16", "gpu_dtype", "weights", "stored", "dtype"),
    [
        (CPU, False, None, PLAIN, "F32", torch.float32),
        (CPU, False, None, FP16, "F16", torch.float32),
        (CPU, False, "bfloat16", PLAIN, "BF16", torch.float32),
        (CPU, True, None, FP16, "F16", torch.bfloat16),
        (CUDA, True, None, FP16, "F16", torch.bfloat16),
        (CUDA, False, "bfloat16", FP16, "F16", torch.bfloat16),
        (CUDA, False, None, FP16, "F32", torch.float16),
        (CUDA, False, None, PLAIN, "F16", torch.float16),
        (CUDA, False, None, PLAIN, "BF16", torch.bfloat16),
        (CUDA, False, None, PLAIN, "F32", torch.float32),
        (CUDA, False, None, PLAIN, None, torch.float32),
        (MPS, False, None, FP16, None, torch.float16),
    ],
)
def test_dtype(
    device: torch.device,
    bfloat16: bool,
    gpu_dtype: str | None,
    weights: Weights,
    stored: str | None,
    dtype: torch.dtype,
) -> None:
    assert choose_dtype(device, bfloat16, gpu_dtype, weights, stored) == dtype


def test_only_cuda_copies_while_the_host_goes_on() -> None:
    tensor: Any = SimpleNamespace(to=lambda device, non_blocking: non_blocking)
    assert [bool(moved(tensor, device)) for device in (CUDA, MPS, CPU)] == [True, False, False]
