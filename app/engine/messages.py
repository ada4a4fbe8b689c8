"""What the API process and the worker process say to each other.

Every message is a small frozen dataclass that pickles; pixels travel beside it as a file
descriptor of shared memory (see `app.engine.channel`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.errors import RunnerError
from app.pipelines.base import Params
from app.settings import Settings

Lora = tuple[str, float]
"""Repository and weight of a LoRA adapter."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a generation depends on: the same inputs give the same pixels.

    Attributes:
        pipeline: name of the pipeline.
        params: validated parameters, the size resolved.
        seeds: one per image, in order.
        loras: adapters to apply, with their weights.
        image_shape: (height, width, 3) of the uint8 RGB input image, whose bytes travel beside
            the message; None where the pipeline takes none.
        check_safety: whether the images are to be flagged.
    """

    pipeline: str
    params: Params
    seeds: tuple[int, ...]
    loras: tuple[Lora, ...] = ()
    image_shape: tuple[int, int, int] | None = None
    check_safety: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the output in pixels; of the input image where params have none."""
        height, width, _ = self.image_shape or (0, 0, 3)
        return getattr(self.params, "width", width), getattr(self.params, "height", height)


# To the worker ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Configure:
    """The first message: load the model that these settings name."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Run:
    """Start this job as soon as there is room; the input image's bytes are attached.

    Attributes:
        preview_every: attach a preview to every n-th Step; 0 for none.
    """

    job_id: str
    inputs: Inputs
    preview_every: int = 0


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop this job at its next step; nothing happens if it is already over."""

    job_id: str


# From the worker ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """What the worker has used of its device, as far as it knows.

    Attributes:
        allocated_bytes, reserved_bytes: most memory in use, and held by the allocator, since the
            last message that said so; without a GPU both are the process's peak.
        forwards: passes through the denoiser since the worker started.
        rows: samples in all of these passes.
        busy_seconds: time spent computing since the worker started.
        compilations: graphs compiled since the worker started.
    """

    allocated_bytes: int = 0
    reserved_bytes: int = 0
    forwards: int = 0
    rows: int = 0
    busy_seconds: float = 0.0
    compilations: int = 0


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded and warm.

    Attributes:
        device: torch's name of the device.
        dtype: torch's name of the weights' type.
        concurrency: jobs that the worker takes at a time.
        load_seconds: from the arrival of the settings to this message.
        accelerators: names of the active ones.
        usage: of loading and warming up.
    """

    device: str
    dtype: str
    concurrency: int
    load_seconds: float
    accelerators: tuple[str, ...] = ()
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The model cannot be loaded; trying again would not help."""

    message: str


@dataclass(frozen=True, slots=True)
class Started:
    """The job's computation began."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Step:
    """The job finished denoising step `step` of `steps` (counted from 1).

    Attributes:
        preview_shape: (height, width, 3) of the uint8 RGB preview attached, if there is one.
    """

    job_id: str
    step: int
    steps: int
    preview_shape: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The job is done; its pixels are attached.

    Attributes:
        shape: (images, height, width, 3) or (videos, frames, height, width, 3), uint8 RGB.
        seeds: the seed of each image.
        nsfw: the safety checker's flag of each image.
        inference_seconds: from Started to here.
        warnings: what the client should know: arguments not taken, checks not made.
        rows: outputs in its forward passes, those of other jobs included, on average; 0 where
            the worker does not count.
        usage: of the worker, when the job was done.
    """

    job_id: str
    shape: tuple[int, ...]
    seeds: tuple[int, ...]
    nsfw: tuple[bool, ...]
    inference_seconds: float
    warnings: tuple[str, ...] = field(default=())
    rows: float = 0.0
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class Failed:
    """The job raised an error that is its own; the worker goes on."""

    job_id: str
    error: RunnerError


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job stopped because it was asked to."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Logged:
    """A line of the worker's log, for the API process to write.

    Attributes:
        logger: name of the logger.
        level: number of the level.
        text: the message, with its traceback if it has one.
        time: seconds since the epoch.
    """

    logger: str
    level: int
    text: str
    time: float


ToWorker = Configure | Run | Cancel
FromWorker = Ready | LoadFailed | Started | Step | Finished | Failed | Cancelled | Logged
