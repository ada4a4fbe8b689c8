"""QUANTIZE: the denoiser's weights in eight bits."""

from __future__ import annotations

from typing import Any

import torch

from app.diffusion.accelerators.denoiser import require_denoisers
from app.settings import Settings

FP8_CAPABILITY = (8, 9)
"""First compute capability with fp8 matrix products (Ada Lovelace)."""


def int8(pipe: Any, _settings: Settings, _device: torch.device) -> None:
    """Keep the linear layers' weights as int8, one scale a row."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    for model in require_denoisers(pipe):
        quantize_(model, Int8WeightOnlyConfig())


def fp8(pipe: Any, _settings: Settings, device: torch.device) -> None:
    """Multiply the linear layers in fp8, activations scaled as they come.

    Raises:
        RuntimeError: the GPU has no fp8 arithmetic.
    """
    from torchao.quantization import (
        Float8DynamicActivationFloat8WeightConfig,
        PerRow,
        quantize_,
    )

    capability = torch.cuda.get_device_capability(device)
    if capability < FP8_CAPABILITY:
        raise RuntimeError(
            f"this GPU's compute capability is {capability[0]}.{capability[1]} and fp8 begins at "
            "8.9; QUANTIZE=fp8-storage saves the same memory"
        )
    config = Float8DynamicActivationFloat8WeightConfig(granularity=PerRow())
    for model in require_denoisers(pipe):
        quantize_(model, config)


def fp8_storage(pipe: Any, _settings: Settings, _device: torch.device) -> None:
    """Keep the weights as fp8 and widen each layer's while it computes."""
    for model in require_denoisers(pipe):
        model.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=model.dtype)
