"""Forwards that are captured at their second call of a kind, and replayed from then on."""

from __future__ import annotations

import functools
import inspect
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from app.diffusion.accelerators.capturing import Capture, Captured
from app.diffusion.accelerators.kinds import Arguments, NoKind, copy_tensors, kind_of
from app.errors import ModelNotLoaded
from app.wording import on_one_line

logger = logging.getLogger(__name__)

MOST_GRAPHS = 64
"""Graphs of one network; beyond it the one that was not used for longest goes. Each holds copies
of its inputs and outputs; what is in between, all share."""

MOST_SEEN = 256
"""Kinds of calls that were made once and are remembered."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A graph with the arguments whose tensors it reads."""

    inputs: Arguments
    captured: Captured

    def __call__(self, arguments: Arguments) -> Any:
        """The result for arguments of its kind; the tensors in it are the caller's own."""
        copy_tensors(arguments, self.inputs)
        self.captured.replay()
        return tree_map_only(torch.Tensor, torch.clone, self.captured.outputs)


class ReplayedForward:
    """Calls a forward by its graphs.

    A kind that comes once is not worth a graph, which costs as much as two calls.
    """

    def __init__(self, forward: Callable[..., Any], capture: Capture, *, needed: bool) -> None:
        """Prepare.

        Args:
            forward: of a network; its results depend on its arguments alone.
            capture: makes the graphs.
            needed: whether a first capture that fails is an error, as all others would fail.
        """
        functools.update_wrapper(self, forward)
        self._forward = forward
        self._names = tuple(inspect.signature(forward).parameters)
        self._capture = capture
        self._needed = needed
        self._has_told = False
        self._seen: OrderedDict[object, None] = OrderedDict()
        self._replays: OrderedDict[object, Replay | None] = OrderedDict()

    @property
    def graphs(self) -> int:
        """How many there are."""
        return sum(replay is not None for replay in self._replays.values())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The forward's result.

        Raises:
            ModelNotLoaded: the very first capture fails, and it is needed.
            Exception: what the forward raises.
        """
        arguments = dict(zip(self._names, args, strict=False)) | kwargs
        try:
            kind = kind_of(arguments)
        except NoKind as reason:
            self._tell_once(str(reason))
            return self._forward(**arguments)
        if kind in self._seen:
            del self._seen[kind]
            _keep(self._replays, kind, self._made(arguments), MOST_GRAPHS)
        if kind not in self._replays:
            result = self._forward(**arguments)
            _keep(self._seen, kind, None, MOST_SEEN)
            return result
        self._replays.move_to_end(kind)
        replay = self._replays[kind]
        return self._forward(**arguments) if replay is None else replay(arguments)

    def _made(self, arguments: Arguments) -> Replay | None:
        """A graph of this call; None for a kind that goes without."""
        inputs = tree_map_only(torch.Tensor, torch.clone, arguments)
        try:
            return Replay(inputs, self._capture(lambda: self._forward(**_with_own_dicts(inputs))))
        except Exception as error:
            reason = on_one_line(error) or type(error).__name__
            lacks_memory = isinstance(error, torch.OutOfMemoryError)
            if self._needed and not self._replays and not lacks_memory:
                raise ModelNotLoaded(
                    f"CUDA_GRAPHS cannot work here: the denoiser cannot be captured ({reason}). "
                    "Unset CUDA_GRAPHS to go without it."
                ) from error
        logger.warning("CUDA_GRAPHS: calls of one kind go without a graph (%s)", reason)
        return None

    def _tell_once(self, reason: str) -> None:
        if not self._has_told:
            logger.warning("CUDA_GRAPHS: calls go without a graph that have %s", reason)
            self._has_told = True


def _with_own_dicts(inputs: Arguments) -> Arguments:
    """The same tensors in new containers: some forwards take entries out of those given."""
    own: Arguments = tree_map_only(torch.Tensor, lambda tensor: tensor, inputs)
    return own


def _keep(kept: OrderedDict[object, Any], kind: object, value: Any, most: int) -> None:
    """Add an entry; the one that was not used for longest goes if there are too many."""
    kept[kind] = value
    if len(kept) > most:
        kept.popitem(last=False)
