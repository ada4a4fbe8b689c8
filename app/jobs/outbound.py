"""Calls to URLs that clients name: image downloads and webhooks, never into our own network."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.jobs.addresses import Resolve

if TYPE_CHECKING:
    from app.jobs.public_calls import PublicCalls


class Outbound:
    """Fetches images and calls webhooks.

    The first call imports httpx, which would take a tenth of the time to a service that answers.
    """

    def __init__(self, *, allow_private: bool = False, resolve: Resolve | None = None) -> None:
        """Prepare.

        Args:
            allow_private: whether private addresses may be called, and images fetched by http.
            resolve: finds addresses; the system's resolver by default.
        """
        self._allow_private = allow_private
        self._resolve = resolve

    async def check_webhook(self, url: str) -> str:
        """Refuse a webhook that can be seen to be unusable; each call of it is checked again.

        Returns:
            The URL with its scheme and host in small letters, and at least a slash for its path.

        Raises:
            UrlRefused: what is wrong with it.
        """
        return await (await self._ready()).check_webhook(url)

    async def image(self, url: str, max_bytes: int) -> bytes:
        """Download an image file over https.

        Raises:
            UrlRefused: the URL, or one that it redirects to, is not one to be called.
            ImageInvalid: there is no such file, or it is too large or too slow.
            Overloaded: too many are being fetched.
        """
        return await (await self._ready()).image(url, max_bytes)

    async def post(self, url: str, body: bytes) -> int:
        """Post JSON to a webhook; the status of the answer, which is not read.

        Raises:
            UrlRefused: the URL leads to a private address.
            OSError: there was no answer in time.
        """
        return await (await self._ready()).post(url, body)

    async def _ready(self) -> PublicCalls:
        return await asyncio.to_thread(lambda: self._calls)

    @cached_property
    def _calls(self) -> PublicCalls:
        from app.jobs.public_calls import PublicCalls

        return PublicCalls(self._allow_private, self._resolve)


def host_of(url: str) -> str:
    """The beginning of a checked webhook's URL, up to its path."""
    parsed = urlsplit(url)
    return f"{parsed.scheme}://{parsed.netloc}/"
