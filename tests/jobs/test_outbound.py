"""URLs that clients name: which addresses are called, and for how long and how much."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from typing import Any, TypeVar

import pytest

from app.errors import ImageInvalid, Overloaded, UrlRefused
from app.jobs import public_calls
from app.jobs.addresses import is_public
from app.jobs.outbound import Outbound, host_of
from tests.jobs.conftest import Receiver
from tests.waiting import until

Result = TypeVar("Result")


@pytest.mark.parametrize(
    "address",
    ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.8.8",
        "168.63.129.16", "169.254.169.254", "172.16.0.1", "192.0.0.192", "192.0.2.1",
        "192.168.1.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1",
        "255.255.255.255",
        "::", "::1", "::127.0.0.1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1",
        "fd00:ec2::254", "ff02::1", "2001:db8::1", "2001::1", "2002:7f00:1::", "100::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::8.8.8.8",
    ],
)  # fmt: skip
def test_addresses_that_are_not_called(address: str) -> None:
    assert not is_public(address)


def resolver(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """Answers the lookups one after the other, the last for ever."""
    left = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


def run(awaitable: Awaitable[Result]) -> Result:
    async def main() -> Result:
        return await awaitable

    return asyncio.run(main())


LOOPBACK = Outbound(allow_private=True, resolve=resolver(["127.0.0.1"]))


def test_an_image_is_fetched(receiver: Receiver) -> None:
    receiver.answers["/cat.png"] = (200, {}, b"bytes")
    url = f"http://images.example:{receiver.port}/cat.png"
    assert run(LOOPBACK.image(url, 100)) == b"bytes"
    (_, _, headers, _) = receiver.requests[0]
    assert headers["Host"] == f"images.example:{receiver.port}"


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/a.png",
        "https://[::1]/a.png",
        "https://[::ffff:10.0.0.1]/a.png",
        "https://2130706433/a.png",  # 127.0.0.1 as one number
        "https://0x7f.1/a.png",
        "https://localhost/a.png",
    ],
)
def test_private_addresses_are_refused_however_they_are_written(url: str) -> None:
    """The system's own resolver reads them; it asks nobody."""
    with pytest.raises(UrlRefused, match="private address"):
        run(Outbound().image(url, 100))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://example.com/a.png", "has to begin with https://"),
        ("ftp://example.com/a.png", "has to begin with https://"),
        ("file:///etc/passwd", "has to begin with https://"),
        ("https:///a.png", "has to begin with https://"),
        ("not a url", "has to begin with https://"),
        ("https://user:secret@example.com/a.png", "user's name or password"),
        ("https://example.com:99999999999999999999999/a.png", "not a URL"),
        ("https://example.com:65536/a.png", "there is no port 65536"),
        ("https://example.com:0/a.png", "there is no port 0"),
        ("https://example.com:-1/a.png", "there is no port -1"),
        ("https://a[b/", "there is no host"),
        ("https://a b/", "there is no host"),
        ("https://[fe80::1%25eth0]/", "there is no host"),
    ],
)
def test_urls_that_cannot_be_called_are_refused(url: str, says: str) -> None:
    with pytest.raises(UrlRefused, match=says):
        run(Outbound(resolve=resolver(["8.8.8.8"])).image(url, 100))


def test_a_name_that_cannot_be_is_refused() -> None:
    with pytest.raises(UrlRefused, match="not a URL"):
        run(Outbound().image("https://xn--/a.png", 100))


def test_a_name_with_one_private_address_is_refused() -> None:
    guarded = Outbound(resolve=resolver(["8.8.8.8", "10.0.0.1"]))
    with pytest.raises(UrlRefused, match="private address"):
        run(guarded.image("https://example.com/a.png", 100))


def test_a_name_is_resolved_once_a_call(receiver: Receiver) -> None:
    """A second lookup, by the library, could give another address than the one checked."""
    lookups = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        lookups.append(host)
        return ["127.0.0.1"]

    own = Outbound(allow_private=True, resolve=resolve)
    assert run(own.post(f"http://rebinds.invalid:{receiver.port}/", b"{}")) == 200
    assert lookups == ["rebinds.invalid"]


def test_a_redirect_is_checked_as_well(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.answers["/public"] = (302, {"Location": "http://inner.example/secret"}, b"")
    # The receiver's address counts as public, those of the second lookup do not.
    monkeypatch.setattr(public_calls, "is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setattr(public_calls, "IMAGE_SCHEMES", ("https", "http"))
    guarded = Outbound(resolve=resolver(["127.0.0.1"], ["10.0.0.1"]))
    with pytest.raises(UrlRefused, match="private address"):
        run(guarded.image(f"http://outer.example:{receiver.port}/public", 100))


def test_redirects_end(receiver: Receiver) -> None:
    receiver.answers["/again"] = (302, {"Location": "/again"}, b"")
    with pytest.raises(ImageInvalid, match="redirects"):
        run(LOOPBACK.image(f"{receiver.url}/again", 100))
    assert len(receiver.requests) == 1 + public_calls.MAX_REDIRECTS


def test_a_redirect_to_another_scheme_is_refused(receiver: Receiver) -> None:
    receiver.answers["/"] = (302, {"Location": "ftp://example.com/"}, b"")
    with pytest.raises(UrlRefused, match="has to begin with"):
        run(LOOPBACK.image(receiver.url, 100))


def test_a_file_that_is_too_large_is_not_read_to_its_end(receiver: Receiver) -> None:
    receiver.answers["/"] = (200, {}, b"x" * 1000)
    with pytest.raises(ImageInvalid, match="larger than 999 bytes"):
        run(LOOPBACK.image(receiver.url, 999))


def test_a_missing_file(receiver: Receiver) -> None:
    receiver.answers["/"] = (404, {}, b"")
    with pytest.raises(ImageInvalid, match="answered 404"):
        run(LOOPBACK.image(receiver.url, 999))


def test_names_that_hang_hold_up_their_own_only(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()

    def getaddrinfo(host: str, port: int, type: int) -> list[Any]:
        if host.endswith("hang.example"):
            goes_on.wait()
        return [(0, 0, 0, "", ("8.8.8.8", port))]

    async def main() -> None:
        resolve = public_calls.SystemResolver()
        hanging = [asyncio.ensure_future(resolve(f"{i}.hang.example", 80)) for i in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(OSError, match=r"hang\.example"):
            await resolve("more.hang.example", 80)
        assert await resolve("well.test", 80) == ["8.8.8.8"]
        goes_on.set()
        await asyncio.gather(*hanging)
        assert await resolve("more.hang.example", 80) == ["8.8.8.8"]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    asyncio.run(main())


def test_no_more_images_are_fetched_at_once_than_memory_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(public_calls, "DOWNLOADS_AT_ONCE", 1)
    monkeypatch.setattr(public_calls, "IMAGE_SECONDS", 1.0)
    outbound = Outbound(allow_private=True, resolve=resolver(["127.0.0.1"]))

    async def main(url: str) -> None:
        first = asyncio.ensure_future(outbound.image(url, 100))
        await until(lambda: outbound._calls._downloads.locked())
        with pytest.raises(Overloaded, match="too many images are being fetched"):
            await outbound.image(url, 100)
        with pytest.raises(ImageInvalid):
            await first

    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        asyncio.run(main(f"http://127.0.0.1:{silent.getsockname()[1]}/"))


def test_a_host_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_calls, "IMAGE_SECONDS", 0.2)
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as silent,
        pytest.raises(ImageInvalid, match=r"longer than 0\.2 s"),
    ):
        run(LOOPBACK.image(f"http://127.0.0.1:{silent.getsockname()[1]}/", 100))


def test_a_host_that_is_not_there() -> None:
    with closing(socket.socket()) as held:  # bound, and nobody listens
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}/"
        with pytest.raises(ImageInvalid, match="could not be fetched"):
            run(LOOPBACK.image(url, 100))
        with pytest.raises(OSError, match=r"attempts failed|refused"):
            run(LOOPBACK.post(url, b"{}"))


def test_the_second_address_is_tried_when_the_first_is_down(receiver: Receiver) -> None:
    both = Outbound(allow_private=True, resolve=resolver(["127.0.0.2", "127.0.0.1"]))
    with closing(socket.socket()) as held:  # nobody listens at 127.0.0.2 on this port
        held.bind(("127.0.0.2", receiver.port))
        assert run(both.post(f"http://two.example:{receiver.port}/", b"{}")) == 200


def test_a_webhook_does_not_follow_redirects(receiver: Receiver) -> None:
    receiver.answers["/hook"] = (307, {"Location": "/elsewhere"}, b"")
    assert run(LOOPBACK.post(f"{receiver.url}/hook", b"{}")) == 307
    assert len(receiver.requests) == 1


def test_a_webhook_is_checked_before_its_job_is_taken() -> None:
    guarded = Outbound(resolve=resolver(["192.168.0.1"]))
    with pytest.raises(UrlRefused, match="private"):
        run(guarded.check_webhook("http://hook.example/"))
    run(Outbound(resolve=resolver(["8.8.8.8"])).check_webhook("http://hook.example/"))
    for url in ("http://xn--/", "http://hook.example:99999999999999999999999/", "http://a.b:-1/"):
        with pytest.raises(UrlRefused, match="not a URL"):
            run(Outbound().check_webhook(url))


@pytest.mark.parametrize(
    ("url", "kept", "host"),
    [
        ("HTTPS://Hooks.Example", "https://hooks.example/", "https://hooks.example/"),
        ("http://a.example:81?x=1", "http://a.example:81/?x=1", "http://a.example:81/"),
        ("https://a.example:443/Path", "https://a.example/Path", "https://a.example/"),
    ],
)
def test_a_webhook_is_kept_as_its_host_is_called(url: str, kept: str, host: str) -> None:
    outbound = Outbound(resolve=resolver(["93.184.215.14"]))
    assert run(outbound.check_webhook(url)) == kept
    assert host_of(kept) == host
    assert kept.startswith(host)
