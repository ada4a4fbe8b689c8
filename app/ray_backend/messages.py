"""What the front end and its replicas say to each other; everything here pickles."""

from __future__ import annotations

from dataclasses import dataclass

from app.engine.elsewhere import Pixels
from app.engine.job import JobOptions, Progress
from app.engine.messages import Inputs, Usage
from app.errors import RunnerError

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReplicaOrder:
    """One job for a replica; see `app.engine.backend.Backend.submit`."""

    inputs: Inputs
    image: bytes | None
    options: JobOptions

    @property
    def rows(self) -> int:
        """Outputs that it adds to a forward."""
        return len(self.inputs.seeds)


@dataclass(frozen=True, slots=True)
class Moved:
    """The job runs, and is so far. A preview's bytes travel with their shape."""

    step: int
    steps: int
    preview: tuple[bytes, Shape] | None = None

    @classmethod
    def of(cls, progress: Progress) -> Moved:
        """Copy a running job's progress, to be pickled."""
        view = progress.preview
        preview = None if view is None else (view.tobytes(), view.shape or ())
        return cls(progress.step, progress.steps, preview)

    def preview_view(self) -> memoryview | None:
        """The preview as `Progress` has it."""
        if self.preview is None:
            return None
        data, shape = self.preview
        return memoryview(data).cast("B", shape)


@dataclass(frozen=True, slots=True)
class Painted:
    """The job is done."""

    pixels: Pixels
    rows: float
    usage: Usage


@dataclass(frozen=True, slots=True)
class Refused:
    """The job failed for a reason of its own: another replica would not do better."""

    error: RunnerError


FromReplica = Moved | Painted | Refused
