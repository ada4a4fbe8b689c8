"""CUDA_GRAPHS: the denoiser's forwards captured as CUDA graphs and replayed.

A denoiser of a thousand kernels keeps a large GPU waiting for the CPU that starts them one by
one. A graph starts all of them at once; what it computes is the same.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from app.diffusion.accelerators.denoiser import require_denoisers
from app.errors import ModelNotLoaded
from app.settings import Settings
from app.wording import on_one_line

logger = logging.getLogger(__name__)

MOST_GRAPHS = 64
"""Graphs of one network; beyond it the one that was not used for longest goes. They share their
memory for what is between input and output."""

Arguments = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Captured:
    """A forward that can be replayed.

    Attributes:
        outputs: what it returned; each replay overwrites the tensors in it.
        replay: computes it again, from what its inputs hold now.
    """

    outputs: Any
    replay: Callable[[], None]


Capture = Callable[[Callable[[], Any]], Captured]
"""Runs a function once and makes it replayable. The function may read no value of a tensor."""


def enable(pipe: Any, _settings: Settings, _device: torch.device) -> None:
    """Have the denoisers' forwards captured, each at its second call of a kind."""
    capture = cuda_capture()
    for model in require_denoisers(pipe):
        put_on(model, capture)


def put_on(model: Any, capture: Capture) -> None:
    """Have one network's forwards captured."""
    model.forward = with_timestep_rows(ReplayedForward(model.forward, capture))


def cuda_capture() -> Capture:
    """Captures on this machine's GPU."""
    pool = torch.cuda.graph_pool_handle()

    def capture(run: Callable[[], Any]) -> Captured:
        graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.current_stream()
        try:
            # Beside it, another thread checks images and fetches pixels.
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                outputs = run()
        finally:  # a capture that fails does not put it back
            torch.cuda.set_stream(stream)
        return Captured(outputs, graph.replay)

    return capture


@dataclass(slots=True)
class _Kind:
    """Calls that one graph serves: of the same shapes, types and plain values.

    Attributes:
        inputs: the arguments whose tensors the graph reads.
        captured: None until its second call, and where it cannot be captured.
        is_eager: whether it cannot.
    """

    inputs: Arguments = field(default_factory=dict)
    captured: Captured | None = None
    is_eager: bool = False


class ReplayedForward:
    """Calls a forward by its graphs.

    The first call of a kind runs as it is, so that libraries choose their algorithms outside of
    a capture. Results are copies: the next replay overwrites the graph's own.
    """

    def __init__(self, forward: Callable[..., Any], capture: Capture) -> None:
        functools.update_wrapper(self, forward)
        self._forward = forward
        self._capture = capture
        self._kinds: OrderedDict[object, _Kind] = OrderedDict()
        self._was_captured = False

    def __call__(self, **arguments: Any) -> Any:
        """The forward's result, its tensors the caller's own.

        Raises:
            ModelNotLoaded: the very first capture fails, and so would all others.
            Exception: what the forward raises.
        """
        try:
            name = _name(arguments)
        except TypeError:  # an argument that cannot be compared
            return self._forward(**arguments)
        kind = self._kinds.get(name)
        if kind is None:
            result = self._forward(**arguments)
            self._remember(name)
            return result
        self._kinds.move_to_end(name)
        if kind.captured is None and not kind.is_eager:
            self._make(kind, arguments)
        if kind.captured is None:
            return self._forward(**arguments)
        _copy(arguments, kind.inputs)
        kind.captured.replay()
        return tree_map_only(torch.Tensor, torch.clone, kind.captured.outputs)

    def _remember(self, name: object) -> None:
        self._kinds[name] = _Kind()
        if len(self._kinds) > MOST_GRAPHS:
            self._kinds.popitem(last=False)

    def _make(self, kind: _Kind, arguments: Arguments) -> None:
        inputs = tree_map_only(torch.Tensor, torch.clone, arguments)
        try:
            kind.captured = self._capture(lambda: self._forward(**inputs))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            reason = f"its denoiser cannot be captured ({on_one_line(error)})"
            if not self._was_captured:
                raise ModelNotLoaded(
                    f"CUDA_GRAPHS cannot work here: {reason}. Unset CUDA_GRAPHS to go without it."
                ) from error
            logger.warning("CUDA_GRAPHS: calls of one kind go without: %s", reason)
            kind.is_eager = True
        else:
            kind.inputs, self._was_captured = inputs, True


def _name(value: Any) -> object:
    """Equal for arguments of one kind.

    Raises:
        TypeError: there is something in it that cannot be compared.
    """
    if isinstance(value, torch.Tensor):
        return value.shape, value.dtype, value.device
    if isinstance(value, Mapping):
        return tuple((key, _name(it)) for key, it in value.items())
    if isinstance(value, list | tuple):
        return tuple(_name(it) for it in value)
    hash(value)
    return type(value), value


def _copy(given: Any, inputs: Any) -> None:
    """Copy the tensors of arguments into those of others of their kind."""
    if isinstance(given, torch.Tensor):
        inputs.copy_(given, non_blocking=True)
    elif isinstance(given, Mapping):
        for key, value in given.items():
            _copy(value, inputs[key])
    elif isinstance(given, list | tuple):
        for value, own in zip(given, inputs, strict=True):
            _copy(value, own)


def with_timestep_rows(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Pass the arguments by name, and one timestep per row always.

    Alone, a request has a single one, in main memory perhaps; requests that share a forward bring
    one each. So there is one graph for both, and none for each value.
    """
    main, *others = inspect.signature(forward).parameters

    @functools.wraps(forward)
    def with_rows(*args: Any, **kwargs: Any) -> Any:
        arguments = dict(zip((main, *others), args, strict=False)) | kwargs
        sample = arguments[main]
        steps = torch.as_tensor(arguments["timestep"], device=sample.device)
        if steps.numel() == 1:
            steps = steps.reshape(1).expand(sample.shape[0])
        return forward(**arguments | {"timestep": steps})

    return with_rows
