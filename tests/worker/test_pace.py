"""How far the host may run ahead of a device."""

from __future__ import annotations

import pytest
import torch

from app.worker.pace import Pace, step_aside


class Device:
    """Does its work only when somebody waits for it."""

    def __init__(self) -> None:
        self.given = self.done = 0

    def moment(self) -> Mark:
        return Mark(self)


class Mark:
    def __init__(self, device: Device) -> None:
        self._device = device

    def record(self) -> None:
        self._reached = self._device.given

    def synchronize(self) -> None:
        self._device.done = max(self._device.done, self._reached)


def test_a_device_is_never_more_than_two_turns_behind() -> None:
    device = Device()
    pace = Pace(device.moment)
    behind = []
    for _ in range(6):
        pace.begin()
        device.given += 1
        pace.end()
        behind.append(device.given - device.done)
    assert behind == [1, 2, 2, 2, 2, 2]


def test_a_cpu_needs_no_pace() -> None:
    pace = Pace.of(torch.device("cpu"))
    for _ in range(5):
        pace.begin()
        pace.end()


def test_only_on_cuda_a_thread_can_step_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    streams: list[object] = []
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: f"another one of {device}")
    monkeypatch.setattr(torch.cuda, "set_stream", streams.append)
    for name in ("cpu", "mps", "cuda:1"):
        step_aside(torch.device(name))
    assert streams == ["another one of cuda:1"]
