"""Puts files where clients can fetch them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from app.engine.encoding import File, Output
from app.media.shelf import MediaShelf

PATH = "/stream"
"""Where the files are served, as `{PATH}/{name}`."""


class Publisher:
    """Turns files into URLs of files."""

    def __init__(self, shelf: MediaShelf) -> None:
        self._shelf = shelf

    async def publish(self, file: File, base_url: str) -> File:
        """The file with its URL in place of its bytes; unchanged where the disk has no room.

        Args:
            file: with its bytes.
            base_url: where clients reach this service, without a slash at its end.
        """
        if file.url:
            return file
        name = await self._shelf.put(file.data, file.media_type)
        return file if name is None else replace(file, data=b"", url=f"{base_url}{PATH}/{name}")

    async def publish_all(self, files: Sequence[File], base_url: str) -> tuple[File, ...]:
        """Every file with its URL, where the disk has room for it."""
        return tuple(await asyncio.gather(*(self.publish(file, base_url) for file in files)))

    async def publish_output(self, output: Output, base_url: str) -> Output:
        """All files of an output with their URLs, where the disk has room for them."""
        images = await self.publish_all(output.images, base_url)
        frames = [await self.publish_all(video, base_url) for video in output.frames]
        return Output(images, tuple(frames))
