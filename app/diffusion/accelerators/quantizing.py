"""QUANTIZE: the denoiser's weights in eight bits."""

from __future__ import annotations

from typing import Any

import torch

from app.diffusion.accelerators.denoiser import require_denoisers
from app.settings import Settings

FP8_CAPABILITY = (8, 9)
"""First compute capability with fp8 matrix products (Ada Lovelace)."""

STORAGE = torch.float8_e4m3fn
"""Type of the weights under QUANTIZE=fp8-storage."""


def int8(pipe: Any, _settings: Settings, device: torch.device) -> None:
    """Keep the linear layers' weights as int8, one scale a row."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    for model in require_denoisers(pipe):
        quantize_(model, Int8WeightOnlyConfig(), device=device)  # layer by layer


def fp8(pipe: Any, _settings: Settings, device: torch.device) -> None:
    """Multiply the linear layers in fp8, activations scaled as they come.

    Raises:
        RuntimeError: the GPU has no fp8 arithmetic, or the weights are not bfloat16.
    """
    capability = torch.cuda.get_device_capability(device)
    if capability < FP8_CAPABILITY:
        raise RuntimeError(
            f"this GPU's compute capability is {capability[0]}.{capability[1]} and fp8 begins at "
            "8.9; QUANTIZE=fp8-storage saves the same memory"
        )
    models = require_denoisers(pipe)
    for model in models:
        if model.dtype is not torch.bfloat16:
            own = str(model.dtype).removeprefix("torch.")
            raise RuntimeError(f"it needs bfloat16 weights, these are {own}: set BFLOAT16=true")
    from torchao.quantization import (
        Float8DynamicActivationFloat8WeightConfig,
        PerRow,
        quantize_,
    )

    config = Float8DynamicActivationFloat8WeightConfig(granularity=PerRow())
    for model in models:
        quantize_(model, config, filter_fn=_is_half_linear, device=device)


def _is_half_linear(module: torch.nn.Module, _name: str) -> bool:
    """Whether it is a linear layer in bfloat16: Wan keeps those of its timestep in float32.

    As torchao does by itself, it leaves out the layer whose weight `MultiheadAttention` uses
    without calling it.
    """
    return (
        isinstance(module, torch.nn.Linear)
        and not isinstance(module, torch.nn.modules.linear.NonDynamicallyQuantizableLinear)
        and module.weight.dtype is torch.bfloat16
    )


def fp8_storage(pipe: Any, _settings: Settings, _device: torch.device) -> None:
    """Keep the weights as fp8 and widen each layer's while it computes."""
    for model in require_denoisers(pipe):
        dtype = model.dtype
        model.enable_layerwise_casting(storage_dtype=STORAGE, compute_dtype=dtype)
        _tell_adapters(model, dtype)


def _tell_adapters(model: Any, dtype: torch.dtype) -> None:
    """Have PEFT keep LoRA adapters in the type that the layers compute in.

    It gives them their layer's own type, unless the layer names another one. In fp8 most of their
    values would become zero, and nothing would widen the rest.
    """
    for module in model.modules():
        if getattr(getattr(module, "weight", None), "dtype", None) is STORAGE:
            module.compute_dtype = dtype
