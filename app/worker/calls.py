"""Calls of a network that wait to be made: which can be made as one, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from app.diffusion.devices import moved
from app.worker.roles import TIMESTEP, Roles

Arguments = dict[str, Any]


@dataclass(slots=True, eq=False)
class Call:
    """A call of a network, for some of whose rows it may have been made already.

    Attributes:
        function: the network, or its method.
        arguments: by name.
        roles: of the arguments; None for a call that is made whole and alone.
        rows: how many it has.
        signature: equal for calls that can be made as one.
        results: of the rows done so far, in order.
        done: how many rows these are.
    """

    function: Callable[..., Any]
    arguments: Arguments
    roles: Roles | None
    rows: int
    signature: object
    results: list[Any] = field(default_factory=list)
    done: int = 0

    @property
    def rows_left(self) -> int:
        """Rows for which the call has not been made yet."""
        return self.rows - self.done

    def next_part(self, rows: int) -> Part:
        """The next rows, at most so many of them."""
        return Part(self, self.done, self.done + min(rows, self.rows_left))

    @property
    def row_size(self) -> int:
        """Elements in one row of the main tensor."""
        if self.roles is None:
            return 0
        main: torch.Tensor = self.arguments[self.roles.rows[0]]
        return main.numel() // self.rows


@dataclass(frozen=True, slots=True)
class Part:
    """Rows `start` to `stop` of a call."""

    call: Call
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """How many they are."""
        return self.stop - self.start

    @property
    def is_whole(self) -> bool:
        """Whether these are all of the call's rows."""
        return self.rows == self.call.rows

    def halves(self) -> tuple[Part, Part]:
        """The two halves of two rows or more."""
        middle = self.start + self.rows // 2
        return Part(self.call, self.start, middle), Part(self.call, middle, self.stop)


class SharedValues:
    """Short keys for tensors that are compared by value, each read once."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[torch.Tensor, object]] = {}

    def key(self, tensor: torch.Tensor) -> object:
        """Equal for equal tensors. The tensor must not be changed afterwards."""
        known = self._seen.get(id(tensor))  # kept alive here, so that its id stays its own
        if known is None:
            data = tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
            known = self._seen[id(tensor)] = tensor, (tensor.shape, tensor.dtype, data)
        return known[1]


def describe(
    function: Callable[..., Any], arguments: Arguments, roles: Roles | None, shared: SharedValues
) -> Call:
    """Make a call of a function and its arguments, without calling it.

    Args:
        function: the network, or its method.
        arguments: by name.
        roles: of the arguments, None if they are not known.
        shared: the request's own.
    """
    if roles is not None:
        rows = arguments[roles.rows[0]].shape[0]
        try:
            parts = [
                (name, _key(name, value, rows, roles, shared))
                for name, value in arguments.items()
                if value is not None and name not in roles.ignored
            ]
        except _Unlike:
            roles = None
        else:
            return Call(function, arguments, roles, rows, (id(function), *parts))
    return Call(function, arguments, None, 1, object())


class _Unlike(Exception):
    """The call has an argument of which nobody knows how to merge it."""


def _key(name: str, value: Any, rows: int, roles: Roles, shared: SharedValues) -> object:
    if name == TIMESTEP:
        return _timestep_key(value, rows)
    if name in roles.rows:
        return _rows_key(value, rows)
    if isinstance(value, torch.Tensor):
        if name in roles.shared:
            return shared.key(value)
        raise _Unlike
    return _plain(value)


def _timestep_key(value: Any, rows: int) -> object:
    """Whole and single-precision timesteps mix: networks turn them into floats anyway."""
    if not isinstance(value, torch.Tensor):
        return value
    if value.numel() != 1 and value.shape[0] != rows:
        raise _Unlike
    return value.dtype if value.dtype.itemsize < 4 else None, value.shape[1:]


def _rows_key(value: Any, rows: int) -> object:
    if isinstance(value, torch.Tensor):
        if value.ndim == 0 or value.shape[0] != rows:
            raise _Unlike
        return value.shape[1:], value.dtype
    if isinstance(value, Mapping):
        return tuple((name, _rows_key(it, rows)) for name, it in value.items() if it is not None)
    raise _Unlike


def _plain(value: Any) -> object:
    """A key for numbers, words and collections of them."""
    if isinstance(value, torch.Tensor):
        raise _Unlike
    if isinstance(value, Mapping):
        return tuple((name, _plain(it)) for name, it in value.items())
    if isinstance(value, list | tuple):
        return tuple(_plain(it) for it in value)
    if value.__hash__ is None:
        raise _Unlike
    return value


def run(parts: Sequence[Part], padded: int | None = None) -> dict[Part, Any]:
    """Make one call of all parts, which have one signature.

    A single whole call is made with its very own arguments.

    Args:
        parts: rows of calls.
        padded: number of rows to fill the call up to, with copies of the last one.

    Returns:
        The result of each part, of the type that the function returns.

    Raises:
        Exception: what the function raises.
    """
    call, rows = parts[0].call, sum(part.rows for part in parts)
    if len(parts) == 1 and parts[0].is_whole and padded in (None, rows):
        return {parts[0]: call.function(**_on_device(call))}
    filling = (padded or rows) - rows
    arguments = {name: _merged(name, call, parts, filling) for name in call.arguments}
    result = call.function(**arguments)
    pieces = result[0].split([part.rows for part in parts] + ([filling] if filling else []))
    return {part: _like(result, piece) for part, piece in zip(parts, pieces, strict=False)}


def joined(results: Sequence[Any]) -> Any:
    """The result of a call that was made in several parts."""
    if len(results) == 1:
        return results[0]
    return _like(results[0], torch.cat([result[0] for result in results]))


def _like(result: Any, tensor: torch.Tensor) -> Any:
    """A result of the same type with another tensor; all networks here return a single one."""
    return (tensor,) if isinstance(result, tuple) else type(result)(sample=tensor)


def _on_device(call: Call) -> Arguments:
    """The arguments, the timestep moved without waiting for the device."""
    timestep = call.arguments.get(TIMESTEP)
    if call.roles is None or not isinstance(timestep, torch.Tensor):
        return call.arguments
    main = call.arguments[call.roles.rows[0]]
    if timestep.device == main.device:
        return call.arguments
    return {**call.arguments, TIMESTEP: moved(timestep, main.device)}


def _merged(name: str, call: Call, parts: Sequence[Part], filling: int) -> Any:
    """An argument of the merged call."""
    value = call.arguments[name]
    assert call.roles is not None
    if name == TIMESTEP and isinstance(value, torch.Tensor):
        timesteps = _cat([_timesteps(part) for part in parts], filling)
        main = call.arguments[call.roles.rows[0]]
        return moved(timesteps, main.device)
    if name not in call.roles.rows or value is None:
        return value
    if isinstance(value, Mapping):
        return {
            key: _cat(
                [part.call.arguments[name][key][part.start : part.stop] for part in parts], filling
            )
            for key, it in value.items()
            if it is not None
        }
    return _cat([part.call.arguments[name][part.start : part.stop] for part in parts], filling)


def _timesteps(part: Part) -> torch.Tensor:
    timestep: torch.Tensor = part.call.arguments[TIMESTEP]
    if timestep.ndim == 0 or timestep.numel() == 1:
        return timestep.reshape(1).expand(part.rows)
    return timestep[part.start : part.stop]


def _cat(tensors: list[torch.Tensor], filling: int) -> torch.Tensor:
    if filling:
        last = tensors[-1][-1:]
        tensors.append(last.expand(filling, *last.shape[1:]))
    return torch.cat(tensors) if len(tensors) > 1 else tensors[0]
