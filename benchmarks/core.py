"""The served core without HTTP: what the doors use, used directly."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from app.engine.job import JobOptions
from app.engine.messages import Ready, Usage
from app.engine.runner import Runner
from app.engine.service import LocalService
from app.engine.start import until_loaded
from app.errors import ModelNotLoaded
from app.media.pool import CodecPool
from app.settings import Settings
from benchmarks.work import Work, params_of, upload_of

DOOR = "bench"


@dataclass(frozen=True, slots=True)
class Measured:
    """One finished request. Times are in seconds.

    Attributes:
        seconds: from submitting it to having its files.
        inference_seconds: of them, what the worker took.
        queue_seconds: of them, waiting for the worker.
        encode_seconds: of them, making files of pixels.
        outputs: images or videos made.
        usage: of the worker, at its end.
        pixels: uint8 RGB of all outputs, one after another.
    """

    seconds: float
    inference_seconds: float
    queue_seconds: float
    encode_seconds: float
    outputs: int
    usage: Usage
    pixels: np.ndarray


class Core:
    """A worker process and what stands before it; an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._codecs = CodecPool()
        self._runner = Runner(settings, LocalService(settings), self._codecs, observers=())

    async def __aenter__(self) -> Self:
        """Wait until the model is loaded.

        Raises:
            ModelNotLoaded: why it cannot be.
        """
        backend = self._runner.backend
        await backend.start(on_failure=lambda: None)
        try:
            await until_loaded(backend)
        except ModelNotLoaded:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    @property
    def ready(self) -> Ready:
        """What the worker said of itself."""
        worker = self._runner.backend.status().worker
        assert worker is not None
        return worker

    async def run(self, work: Work) -> Measured:
        """Make one request and wait for its files."""
        pipeline = self.settings.pipeline
        params, upload = params_of(pipeline, work), upload_of(pipeline, work)
        start = time.perf_counter()
        job = await self._runner.submit(params, upload, JobOptions(DOOR))
        served = await self._runner.finish(job)
        seconds = time.perf_counter() - start
        samples = (await job.result()).samples
        return Measured(
            seconds=seconds,
            inference_seconds=job.inference_seconds,
            queue_seconds=job.queue_seconds,
            encode_seconds=served.encode_seconds,
            outputs=len(samples),
            usage=job.usage,
            pixels=np.stack([np.asarray(sample.pixels) for sample in samples]),
        )

    async def _stop(self) -> None:
        await self._runner.backend.stop()
        self._codecs.close()


def settings_for(pipeline: str, model_id: str, changes: dict[str, str] | None = None) -> Settings:
    """Settings of the environment for this model, without the service's own limits.

    Args:
        pipeline, model_id: what to serve.
        changes: environment variables to add, by name in small letters.

    Raises:
        SettingsError: they cannot be used; one line that says why.
    """
    values: dict[str, object] = {
        "pipeline": pipeline,
        "model_id": model_id,
        "request_timeout": 86_400.0,
        "step_timeout": 3_600.0,
        "max_images_per_prompt": 1_000,
        "max_steps": 1_000,
        "queue_limit": 100_000,
    }
    return Settings.of(values | (changes or {}))
