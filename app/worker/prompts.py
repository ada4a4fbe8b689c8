"""Text embeddings of repeated prompts, kept instead of computed again."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch

ROOM = 64 * 2**20
"""Bytes of embeddings that are kept: some 130 prompts of Stable Diffusion, 8 to 16 of FLUX."""

_PURE = ("StableDiffusion", "Flux", "Wan", "LTX")
"""Beginnings of the names of pipelines whose `encode_prompt` depends on its arguments alone."""

_METHODS = ("encode_prompt", "_encode_prompt")

Key = tuple[object, ...]


class PromptCache:
    """Results of `encode_prompt`, the one unused for longest dropped first.

    What is kept and what is handed out are copies, so that nobody can change another's
    embeddings.
    """

    def __init__(self, room: int = ROOM) -> None:
        """Start empty.

        Args:
            room: bytes of embeddings to keep.
        """
        self._room = room
        self._kept: OrderedDict[Key, Any] = OrderedDict()
        self._bytes = 0
        self.hits = 0

    def attach(self, pipe: Any, loras: object) -> None:
        """Have one request's copy of a pipeline ask here first.

        Args:
            pipe: the copy; changed.
            loras: its adapters, on which embeddings depend as well.
        """
        if not type(pipe).__name__.startswith(_PURE):
            return
        for name in _METHODS:
            if (method := getattr(pipe, name, None)) is not None:
                setattr(pipe, name, self._remembering(method, (name, loras)))

    def _remembering(self, method: Callable[..., Any], kind: Key) -> Callable[..., Any]:
        @functools.wraps(method)
        def encode(*args: Any, **kwargs: Any) -> Any:
            try:
                key = (*kind, _plain(args), _plain(kwargs))
            except TypeError:
                return method(*args, **kwargs)
            if key in self._kept:
                self._kept.move_to_end(key)
                self.hits += 1
                return _copy(self._kept[key])
            result = method(*args, **kwargs)
            self._keep(key, _copy(result))
            return result

        return encode

    def _keep(self, key: Key, result: Any) -> None:
        self._kept[key] = result
        self._bytes += _size(result)
        while self._bytes > self._room:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= _size(dropped)


def _plain(value: Any) -> object:
    """A key for a value; raises TypeError for what has none, embeddings for one."""
    if isinstance(value, dict):
        return tuple((name, _plain(it)) for name, it in sorted(value.items()))
    if isinstance(value, list | tuple):
        return tuple(_plain(it) for it in value)
    if isinstance(value, str | int | float | torch.device | torch.dtype) or value is None:
        return type(value), value
    raise TypeError


def _copy(result: Any) -> Any:
    if isinstance(result, torch.Tensor):
        return result.clone()
    if isinstance(result, list | tuple):
        return type(result)(_copy(it) for it in result)
    return result


def _size(result: Any) -> int:
    if isinstance(result, torch.Tensor):
        return result.nbytes
    return sum(_size(it) for it in result) if isinstance(result, list | tuple) else 0
