"""Gates that hold the fake worker back at a point of its work; see `tests.fake_worker`."""

from __future__ import annotations

from pathlib import Path

from tests.waiting import wait_until


class Gate:
    """Holds the fake worker back at `load`, `step` or `step-3`, and knows whether it is there.

    It is open at first. The folder is MODEL_DIR of the service whose worker it holds.
    """

    def __init__(self, folder: Path, name: str = "step") -> None:
        self._gate = folder / f"{name}.gate"
        self._waiting = folder / f"{name}.waiting"

    def close(self) -> None:
        """Hold the worker back from now on."""
        self._waiting.unlink(missing_ok=True)
        self._gate.touch()

    def is_reached(self) -> bool:
        """Whether the worker has come to it since it was closed."""
        return self._waiting.exists()

    def wait_reached(self) -> None:
        """Wait until the worker is there."""
        wait_until(self.is_reached)

    def open(self) -> None:
        """Let the worker go on; nothing happens if it is open."""
        self._gate.unlink(missing_ok=True)


def open_gates(folder: Path) -> None:
    """Let the worker of this MODEL_DIR go on, wherever it is held back."""
    for gate in folder.glob("*.gate"):
        gate.unlink()
