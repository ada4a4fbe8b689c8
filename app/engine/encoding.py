"""From the pixels that a job made to the files that its client receives."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from app.engine.job import Generation, Job, Sample
from app.engine.metadata import png_text
from app.media.formats import LOSSLESS, Encoding
from app.media.pool import CodecPool
from app.pipelines import PIPELINES
from app.pipelines.base import Media
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class File:
    """One encoded output.

    Attributes:
        data: the file's bytes; none where clients fetch it from `url`.
        media_type: its MIME type.
        seed, nsfw: of the sample it shows.
        url: where it can be fetched; empty where it travels in the answer.
    """

    data: bytes
    media_type: str
    seed: int
    nsfw: bool
    url: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """All files of a job.

    Attributes:
        images: one file per image; of a video, one mp4 per video.
        frames: of a video, its frames as PNGs, a tuple per video; empty otherwise.
    """

    images: tuple[File, ...]
    frames: tuple[tuple[File, ...], ...] = ()


class Encoder:
    """Encodes in the codec pool."""

    def __init__(self, settings: Settings, codecs: CodecPool) -> None:
        self._settings = settings
        self._media = PIPELINES[settings.pipeline].media
        self._codecs = codecs

    async def files(
        self, job: Job, generation: Generation, encoding: Encoding, *, with_frames: bool
    ) -> Output:
        """All files of a job.

        Args:
            job: what was asked for.
            generation: what it made.
            encoding: of its images; the frames of a video are always PNGs.
            with_frames: whether a video's frames are wanted one by one, too.
        """
        if self._media is Media.IMAGE:
            return Output(await self._images(job, generation.samples, encoding))
        fps = getattr(job.inputs.params, "fps", 8)
        videos = asyncio.gather(*(self._mp4(sample, fps) for sample in generation.samples))
        clips = generation.samples if with_frames else ()
        frames = asyncio.gather(*(self._images(job, _frames(clip), LOSSLESS) for clip in clips))
        return Output(tuple(await videos), tuple(await frames))

    async def preview(
        self, preview: memoryview, size: tuple[int, int], encoding: Encoding
    ) -> bytes:
        """A preview as an image of the (width, height) that the final one will have."""
        return await self._codecs.run(_preview, preview, size, encoding)

    async def _images(
        self, job: Job, samples: tuple[Sample, ...], encoding: Encoding
    ) -> tuple[File, ...]:
        files = (self._image(job, sample, encoding) for sample in samples)
        return tuple(await asyncio.gather(*files))

    async def _image(self, job: Job, sample: Sample, encoding: Encoding) -> File:
        text: Mapping[str, str] = {}
        if self._settings.embed_metadata:
            text = png_text(job, self._settings.model_id, sample.seed)
        data = await self._codecs.run(_image, sample.pixels, encoding, text)
        return File(data, encoding.format.media_type, sample.seed, sample.nsfw)

    async def _mp4(self, sample: Sample, fps: float) -> File:
        data = await self._codecs.run(_mp4, sample.pixels, fps)
        return File(data, "video/mp4", sample.seed, sample.nsfw)


# These run in the codec pool's threads, where NumPy and Pillow are imported when they are first
# needed: the service answers /health before it has them.


def _image(pixels: memoryview, encoding: Encoding, text: Mapping[str, str]) -> bytes:
    import numpy as np

    return encoding.encode(np.asarray(pixels), text)


def _preview(pixels: memoryview, size: tuple[int, int], encoding: Encoding) -> bytes:
    import numpy as np

    from app.media.resize import resize

    return encoding.encode(resize(np.asarray(pixels), *size))


def _mp4(pixels: memoryview, fps: float) -> bytes:
    import numpy as np

    from app.media.mp4 import encode_mp4

    return encode_mp4(np.asarray(pixels), fps=fps)


def _frames(video: Sample) -> tuple[Sample, ...]:
    """The frames of a video as samples of their own, without copying."""
    count, *shape = video.pixels.shape or ()
    pixels = video.pixels.cast("B")
    size = len(pixels) // count
    frames = (pixels[i * size : (i + 1) * size].cast("B", shape) for i in range(count))
    return tuple(Sample(frame, video.seed, video.nsfw) for frame in frames)
