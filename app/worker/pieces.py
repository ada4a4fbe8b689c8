"""What a decoding that memory does not hold is made of instead."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from app.worker.calls import Arguments, Call, Part

FRAMES = "num_frames"
"""Argument of VAEs (Stable Video Diffusion's) whose rows are frames, which they smooth in time.
Pipelines choose how many they pass at once."""


def pieces_of(decoding: Part) -> list[Part]:
    """Calls that take less memory and together make a row of a decoding; none if there are none.

    Half of the frames each; else the same in tiles, which may leave faint seams.
    """
    call = decoding.call
    if call.roles is None and call.arguments.get(FRAMES, 1) > 1:
        return _half_the_frames(call)
    vae = getattr(call.function, "__self__", None)
    if getattr(vae, "use_tiling", True):  # it is tiled already, or cannot be
        return []
    return [_whole(_tiled(vae, call.function), _own_arguments(decoding))]


def _half_the_frames(call: Call) -> list[Part]:
    name, latents = next(iter(call.arguments.items()))
    halves = latents.chunk(2)
    return [
        _whole(call.function, {**call.arguments, name: half, FRAMES: len(half)}) for half in halves
    ]


def _own_arguments(decoding: Part) -> Arguments:
    """The call's, with no rows but the part's own."""
    roles, arguments = decoding.call.roles, decoding.call.arguments
    if roles is None:
        return arguments
    rows = {name: arguments[name][decoding.start : decoding.stop] for name in roles.rows}
    return {**arguments, **rows}


def _whole(function: Callable[..., Any], arguments: Arguments) -> Part:
    return Part(Call(function, arguments, roles=None, rows=1, signature=object()), 0, 1)


def _tiled(vae: Any, decode: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(decode)
    def decode_tiled(**arguments: Any) -> Any:
        vae.use_tiling = True
        try:
            return decode(**arguments)
        finally:
            vae.use_tiling = False

    return decode_tiled
