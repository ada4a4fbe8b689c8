"""The one way from a request to its media, shared by all doors."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.diffusion.profiles import ASSUMED_STEPS, profile_for
from app.engine.admission import Admission
from app.engine.backend import Backend
from app.engine.encoding import Encoder, Output
from app.engine.job import Job, JobOptions
from app.engine.messages import Inputs
from app.engine.records import (
    OK,
    JobRecord,
    Observer,
    OnRefusal,
    ignore_refusal,
    log_record,
    record_of,
)
from app.engine.uploads import Uploads
from app.errors import RunnerError
from app.media.formats import LOSSLESS, Encoding
from app.media.pool import CodecPool
from app.pipelines import PIPELINES
from app.pipelines.base import Params, Pipeline
from app.settings import Settings

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Served:
    """A finished job, ready to be put into a protocol's words. Times are in seconds."""

    job: Job
    output: Output
    warnings: tuple[str, ...]
    encode_seconds: float

    @property
    def server_timing(self) -> str:
        """Value of the `Server-Timing` header, in milliseconds."""
        parts = {
            "queue": self.job.queue_seconds,
            "inference": self.job.inference_seconds,
            "encode": self.encode_seconds,
        }
        return ", ".join(f"{name};dur={1000 * seconds:.1f}" for name, seconds in parts.items())


class Runner:
    """What doors are given: the loaded pipeline, the backend and the codecs.

    Attributes:
        settings: of the service.
        backend: what runs the jobs.
        pipeline: the loaded one.
        native_size: (width, height) that the model was trained for, where it is known.
    """

    def __init__(
        self,
        settings: Settings,
        backend: Backend,
        codecs: CodecPool,
        observers: Sequence[Observer] = (log_record,),
        on_refusal: OnRefusal = ignore_refusal,
    ) -> None:
        self.settings = settings
        self.backend = backend
        self.pipeline: Pipeline = PIPELINES[settings.pipeline]
        self._profile = profile_for(settings.model_id)
        self.native_size = self._profile.native_size
        self._admission = Admission(settings)
        self._uploads = Uploads(settings, self._admission, codecs)
        self._encoder = Encoder(settings, codecs)
        self._observers = observers
        self._on_refusal = on_refusal

    async def submit(
        self,
        params: Params,
        upload: bytes | None,
        options: JobOptions,
        *,
        size: tuple[int, int] | None = None,
    ) -> Job:
        """Check a request and queue it.

        Args:
            params: of the loaded pipeline.
            upload: bytes of the input image's file, where the pipeline takes one.
            options: how to treat the job.
            size: (width, height) to bring the input image to, where params have none; its own
                if None.

        Raises:
            BadRequest: what is wrong with the request.
            Overloaded: there is no room.
            ModelNotLoaded: there will be no worker.
        """
        with self.telling_refusals(options.door):
            self.backend.check_room()  # before a large image is decoded for nothing
            inputs, image = await self._prepare(params, upload, size)
            return self.backend.submit(inputs, None if image is None else image.data, options)

    @contextmanager
    def telling_refusals(self, door: str) -> Iterator[None]:
        """Count a request that is refused in this block: it never becomes a job."""
        try:
            yield
        except RunnerError as error:
            self._on_refusal(door, error)
            raise

    def expected_steps(self, params: Params) -> int:
        """Denoising steps of a request, as far as they are known without the model's class."""
        arguments = self._profile.adjust(self.pipeline.arguments(params))
        steps = arguments.get("num_inference_steps", ASSUMED_STEPS)
        return max(1, int(steps * arguments.get("strength", 1.0)))

    async def check(self, params: Params, upload: bytes | None) -> None:
        """Check a request that is to be submitted later.

        Raises:
            BadRequest: what is wrong with the request.
        """
        await self._prepare(params, upload, None)

    async def finish(
        self, job: Job, encoding: Encoding = LOSSLESS, *, with_frames: bool = True
    ) -> Served:
        """Wait for a job and encode what it made; tells the observers.

        Args:
            job: one that `submit` returned.
            encoding: of its images; the frames of a video are always PNGs.
            with_frames: whether a video's frames are wanted one by one, too.

        Raises:
            RunnerError: why there is nothing to encode.
        """
        try:
            generation = await job.result()
            start = time.perf_counter()
            output = await self._encoder.files(job, generation, encoding, with_frames=with_frames)
        except Exception as error:
            self._report(self._record(job, type(error).__name__))
            raise
        served = Served(job, output, generation.warnings, time.perf_counter() - start)
        self._report(self._record(job, OK, served.encode_seconds))
        return served

    async def encode_preview(
        self, preview: memoryview, size: tuple[int, int], encoding: Encoding
    ) -> bytes:
        """See `Encoder.preview`."""
        return await self._encoder.preview(preview, size, encoding)

    async def _prepare(
        self, params: Params, upload: bytes | None, size: tuple[int, int] | None
    ) -> tuple[Inputs, np.ndarray | None]:
        image = None if upload is None else await self._uploads.read(upload, size)
        return self._admission.admit(params, None if image is None else image.shape), image

    def _record(self, job: Job, outcome: str, encode_seconds: float = 0.0) -> JobRecord:
        with_prompt = self.settings.log_prompts
        return record_of(job, outcome, encode_seconds, with_prompt=with_prompt)

    def _report(self, record: JobRecord) -> None:
        for observe in self._observers:
            observe(record)
