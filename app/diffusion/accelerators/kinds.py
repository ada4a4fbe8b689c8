"""Which calls of a forward one CUDA graph serves."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device)
"""Types of values that a graph may hold as they were at its capture: they are in its kind."""

Arguments = dict[str, Any]


class NoKind(Exception):
    """A call whose graph could serve no other: what it has in it completes "calls that have"."""


def kind_of(arguments: Arguments) -> object:
    """Equal for arguments that one graph serves: of the same shapes, types and plain values.

    Raises:
        NoKind: something in them would stay in the graph as it is now: the value of a tensor in
            main memory, or of an object that may change.
    """
    tensors = [leaf for leaf in tree_leaves(arguments) if isinstance(leaf, torch.Tensor)]
    devices = {tensor.device for tensor in tensors}
    if len(devices) != 1:
        raise NoKind("tensors in several places")
    # Autocast keeps weights of another type for a while, and a graph would read them for ever.
    if torch.is_autocast_enabled(devices.pop().type):
        raise NoKind("autocast around them")
    return _kind(arguments)


def _kind(value: Any) -> object:
    if isinstance(value, torch.Tensor):
        return value.shape, value.dtype
    if type(value) in (dict, OrderedDict):
        pairs = sorted(value.items(), key=lambda pair: str(pair[0]))
        return dict, tuple((key, _kind(it)) for key, it in pairs)
    if type(value) in (list, tuple):
        return type(value), tuple(_kind(it) for it in value)
    if isinstance(value, PLAIN):
        return type(value), value
    raise NoKind(f"a {type(value).__name__} among their arguments")


def copy_tensors(given: Any, inputs: Any) -> None:
    """Copy the tensors of arguments into those of others of their kind."""
    if isinstance(given, torch.Tensor):
        inputs.copy_(given, non_blocking=True)
    elif isinstance(given, dict):
        for key, value in given.items():
            copy_tensors(value, inputs[key])
    elif isinstance(given, list | tuple):
        for value, own in zip(given, inputs, strict=True):
            copy_tensors(value, own)
