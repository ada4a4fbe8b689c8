"""A stand-in for an accelerator: it computes on the CPU and notes what its host has to read."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
"""What the stand-in is called: a device that PyTorch knows and nobody else uses here."""

_READS = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2")
"""Operations whose results the host has to know."""


class Held(torch.Tensor):
    """A tensor on the stand-in."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls: type[Held], held: torch.Tensor) -> Held:
        own: Held = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )
        own.held = held
        return own

    def untyped_storage(self) -> Any:
        return self.held.untyped_storage()

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


class Accelerator(TorchDispatchMode):
    """Around what is made and run there.

    Attributes:
        reads: names of the operations for which the host waited until the accelerator had done
            all it was given. Copies to it are left out: as pipelines make them, they wait, too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = _compute(func, args, kwargs or {})
        name = func._schema.name.removeprefix("aten::")
        if _is_read(name, _tensors((args, kwargs)), result):
            self.reads.append(name)
        return result


def take(module: torch.nn.Module) -> None:
    """Move a module's weights to the stand-in."""
    for part in module.modules():
        for name, weights in part._parameters.items():
            if weights is not None:
                held = torch.nn.Parameter(Held(weights.data), requires_grad=False)
                part._parameters[name] = held
        for name, buffer in part._buffers.items():
            part._buffers[name] = None if buffer is None else Held(buffer)


def back(value: Any) -> Any:
    """A tensor of the stand-in on the CPU; all else as it is."""
    return value.held if isinstance(value, Held) else value


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    device = kwargs.get("device")
    is_made_there = device is not None and torch.device(device) == DEVICE
    is_there = any(isinstance(it, Held) for it in _tensors((args, kwargs)))
    if is_there and not is_made_there:
        _check_devices(func, _tensors((args, kwargs)))
    options = kwargs | ({"device": torch.device("cpu")} if is_made_there else {})
    result = func(*tree_map(back, args), **tree_map(back, options))
    if changed := [it for it in _tensors(args) if back(it) is result]:
        return changed[0]
    stays = is_made_there or (is_there and device is None)
    return tree_map(_hold, result) if stays else result


def _is_read(name: str, tensors: list[torch.Tensor], result: Any) -> bool:
    if not any(isinstance(it, Held) for it in tensors):
        return False
    if name in ("_to_copy", "copy_"):
        return not isinstance(result, Held)
    has_mask = name.startswith("index") and any(it.dtype is torch.bool for it in tensors[1:])
    return has_mask or name in _READS


def _check_devices(func: Any, tensors: list[torch.Tensor]) -> None:
    """As CUDA: what is copied, numbers and indices may be in main memory."""
    if not any(word in func._schema.name for word in ("copy", "index")):
        assert all(isinstance(it, Held) or not it.ndim for it in tensors), f"{func}: two devices"


def _tensors(values: Any) -> list[torch.Tensor]:
    return [it for it in tree_leaves(values) if isinstance(it, torch.Tensor)]


def _hold(value: Any) -> Any:
    return Held(value) if isinstance(value, torch.Tensor) else value
