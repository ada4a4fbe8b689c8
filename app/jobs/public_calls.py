"""The calls of `app.jobs.outbound`, with httpx: never into our own network."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx

from app.errors import ImageInvalid, Overloaded, UrlRefused
from app.jobs.addresses import Resolve, is_public
from app.telemetry import trace_headers

IMAGE_SECONDS = 8.0
"""For a whole download, redirects included: clients give /run ten seconds."""
WEBHOOK_SECONDS = 10.0
LOOKUP_SECONDS = 2.0
"""For the first look at a webhook's name."""
LOOKUPS_AT_ONCE = 32
LOOKUPS_PER_ZONE = 4
"""Of names with the same last two parts: servers that do not answer hold up their own only."""
DOWNLOADS_AT_ONCE = 8
"""Each may hold an image of the largest size in memory."""
MAX_REDIRECTS = 3
LAST_PORT = 65_535
IMAGE_SCHEMES = ("https",)
WEBHOOK_SCHEMES = ("https", "http")
HOST = re.compile(rb"[a-z0-9._-]+|[0-9a-f:.]+")
"""A name, in the letters that names have on the wire, or an address."""
NO_URL = (httpx.InvalidURL, UnicodeError)
"""What httpx raises of a URL that is none, and of a host's name that cannot be one."""
USER_AGENT = "diffusion-runner"


class SystemResolver:
    """The system's own resolver, in threads of its own: names that hang hold up nothing else.

    A lookup goes on where nobody waits for it any more.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, "names")
        self._under_way: Counter[str] = Counter()

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """See `Resolve`."""
        zone = ".".join(host.split(".")[-2:])
        if self._under_way[zone] >= LOOKUPS_PER_ZONE:
            raise OSError(f"too many names of {zone} are being looked up")
        self._under_way[zone] += 1
        loop = asyncio.get_running_loop()
        lookup = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        looking = loop.run_in_executor(self._threads, lookup)
        looking.add_done_callback(partial(self._note_end, zone))
        return [str(info[4][0]) for info in await asyncio.shield(looking)]

    def _note_end(self, zone: str, looking: asyncio.Future[object]) -> None:
        self._under_way -= Counter([zone])
        if not looking.cancelled():
            looking.exception()  # heard, though nobody may wait for it any more


class PublicTransport(httpx.AsyncBaseTransport):
    """Connects to public addresses only.

    The name is resolved here, all its addresses are checked, and the connection goes to a
    checked address: a name that resolves differently the next moment gains nothing. Redirects
    come through here again. Certificates are checked against the name.
    """

    def __init__(self, allow_private: bool, resolve: Resolve, tls: ssl.SSLContext) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        # No connection is kept: it belongs to an address, and the next name may differ.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the first address of its host that answers."""
        host, failure = request.url.host, httpx.ConnectError("no address")
        addresses = await checked_addresses(request.url, self._resolve, self._allow_private)
        for address in addresses:
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,  # `Host` keeps the name
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except httpx.ConnectError as error:
                failure = error
        raise failure

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()


async def checked_addresses(url: httpx.URL, resolve: Resolve, allow_private: bool) -> Sequence[str]:
    """The addresses of a URL's host, all of which may be called.

    Raises:
        UrlRefused: one of them is private.
        httpx.ConnectError: there are none.
    """
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        addresses = await resolve(url.host, port)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"{url.host} has no address") from error
    if not allow_private and not all(map(is_public, addresses)):
        raise UrlRefused(
            f"{url.host} leads to a private address, which this server does not call "
            "(ALLOW_PRIVATE_URLS)."
        )
    return addresses


class PublicCalls:
    """Fetches images and calls webhooks."""

    def __init__(self, allow_private: bool, resolve: Resolve | None) -> None:
        self._allow_private = allow_private
        self._resolve = resolve or SystemResolver()
        self._tls: ssl.SSLContext | None = None
        self._downloads = asyncio.Semaphore(DOWNLOADS_AT_ONCE)

    def check_url(self, url: str, *, schemes: Sequence[str]) -> None:
        """Refuse a URL that is none, or of another scheme.

        Raises:
            UrlRefused: what is wrong with it.
        """
        try:
            parsed = httpx.URL(url)
            host, port = parsed.host, parsed.port
        except NO_URL as error:
            raise UrlRefused(f"This is not a URL: {error}") from error
        if port is not None and not 1 <= port <= LAST_PORT:
            raise UrlRefused(f"This is not a URL: there is no port {port}.")
        allowed = (*schemes, "http") if self._allow_private else schemes
        if parsed.scheme not in allowed or not host:
            raise UrlRefused(f"A URL has to begin with {' or '.join(f'{s}://' for s in allowed)}.")
        if not HOST.fullmatch(parsed.raw_host):
            raise UrlRefused(f"This is not a URL: there is no host {host!r}.")
        if parsed.userinfo:
            raise UrlRefused("A URL must not hold a user's name or password.")

    async def check_webhook(self, url: str) -> str:
        """See `Outbound.check_webhook`."""
        self.check_url(url, schemes=WEBHOOK_SCHEMES)
        parsed = httpx.URL(url)
        with contextlib.suppress(httpx.ConnectError, TimeoutError):  # it may have a name later
            async with asyncio.timeout(LOOKUP_SECONDS):
                await checked_addresses(parsed, self._resolve, self._allow_private)
        return str(parsed if parsed.path != "/" else parsed.copy_with(path="/"))

    async def image(self, url: str, max_bytes: int) -> bytes:
        """See `Outbound.image`."""
        self.check_url(url, schemes=IMAGE_SCHEMES)
        if self._downloads.locked():
            raise Overloaded("too many images are being fetched.", retry_after=1)
        try:
            async with (
                self._downloads,
                asyncio.timeout(IMAGE_SECONDS),
                await self._client(IMAGE_SCHEMES, MAX_REDIRECTS) as client,
            ):
                return await self._download(client, url, max_bytes)
        except TimeoutError as error:
            reason = f"it took longer than {IMAGE_SECONDS:g} s"
            raise ImageInvalid(f"The image's URL could not be fetched: {reason}.") from error
        except (httpx.HTTPError, *NO_URL) as error:  # the latter: where a redirect led
            reason = str(error) or type(error).__name__
            raise ImageInvalid(f"The image's URL could not be fetched: {reason}.") from error

    async def post(self, url: str, body: bytes) -> int:
        """See `Outbound.post`."""
        headers = {"Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(WEBHOOK_SECONDS),
                await self._client(WEBHOOK_SCHEMES) as client,
            ):
                request = client.stream("POST", url, content=body, headers=headers)
                async with request as response:
                    return response.status_code
        except httpx.HTTPError as error:
            raise OSError(str(error) or type(error).__name__) from error

    async def _download(self, client: httpx.AsyncClient, url: str, max_bytes: int) -> bytes:
        async with client.stream("GET", url) as response:
            if response.status_code != httpx.codes.OK:
                raise ImageInvalid(f"The image's URL answered {response.status_code}.")
            data = bytearray()
            async for chunk in response.aiter_raw():
                data += chunk
                if len(data) > max_bytes:
                    raise ImageInvalid(f"The image is larger than {max_bytes} bytes.")
        return bytes(data)

    async def _client(self, schemes: Sequence[str], redirects: int = 0) -> httpx.AsyncClient:
        if self._tls is None:  # reading all the certificates takes a tenth of a second
            self._tls = await asyncio.to_thread(httpx.create_ssl_context, trust_env=False)

        async def check(request: httpx.Request) -> None:
            self.check_url(str(request.url), schemes=schemes)

        return httpx.AsyncClient(
            transport=PublicTransport(self._allow_private, self._resolve, self._tls),
            follow_redirects=redirects > 0,
            max_redirects=redirects,
            timeout=WEBHOOK_SECONDS,  # of each part; the whole call has a limit of its own
            trust_env=False,  # a proxy would resolve the name again
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **trace_headers()},
            event_hooks={"request": [check]},
        )
