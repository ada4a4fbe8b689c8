"""Bodies that would hold up the service are refused while they come."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator

import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from app.errors import RunnerError
from app.routes import arrivals
from app.routes.arrivals import Arrivals
from app.routes.bodies import BodyLimit
from tests.conftest import MakeClient
from tests.pictures import picture

COMMAS = b'{"prompt": "a", "x": [' + b"1," * 60_000 + b"1]}"
LISTS = b'{"prompt": "a", "x": ' + b"[" * 60_000 + b"]" * 60_000 + b"}"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "path", ["/text-to-image", "/run", "/models/some/model", "/v1/images/generations"]
)
@pytest.mark.parametrize(
    "body", [COMMAS, LISTS, b" \n" * 9 + COMMAS, COMMAS.decode().encode("utf-16")]
)
def test_a_document_of_too_many_values_is_refused(
    make_client: MakeClient, path: str, body: bytes
) -> None:
    response = make_client(overload_status=503).post(path, content=body, headers=JSON)
    assert response.status_code in (400, 413)
    assert "more than 50000 of" in response.text


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "Application/X-WWW-Form-URLEncoded; a=b"]
)
def test_a_form_of_too_many_signs_is_refused(make_client: MakeClient, content_type: str) -> None:
    client = make_client(pipeline="image-to-image")
    headers = {"Content-Type": content_type}
    response = client.post("/image-to-image", content=b"prompt=" + b"%41" * 60_000, headers=headers)
    assert response.status_code == 400
    assert "multipart/form-data" in response.json()["detail"]["msg"]


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "image/png"])
def test_a_file_is_no_document_whatever_it_is_called(
    make_client: MakeClient, content_type: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1600, 1600, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((64, 64)).save(file, "PNG")
    padded = file.getvalue() + noise.tobytes()  # after its end a PNG may have anything
    client = make_client(pipeline="image-to-image")
    response = client.post("/", content=padded, headers={"Content-Type": content_type})
    assert response.headers["content-type"] == "image/png", response.text  # read as a file


def test_slashes_that_some_languages_escape_do_no_harm(make_client: MakeClient) -> None:
    client = make_client(pipeline="image-to-image")
    image = "data:image/png;base64," + "/" * 100_000
    body = json.dumps({"input": {"prompt": "a", "image": image}}).replace("/", "\\/")
    response = client.post("/runsync", content=body, headers=JSON)
    assert "more than" not in response.text


@pytest.mark.parametrize("path", ["/text-to-image", "/run", "/v1/images/generations", "/"])
def test_a_compressed_body_is_refused(make_client: MakeClient, path: str) -> None:
    body = gzip.compress(b'{"prompt": "a"}')
    response = make_client().post(path, content=body, headers=JSON | {"Content-Encoding": "gzip"})
    assert response.status_code == 400
    assert "Content-Encoding is not supported" in response.text


def test_a_body_that_says_it_is_not_compressed_is_taken(make_client: MakeClient) -> None:
    asked = {"prompt": "a", "width": 64, "height": 64, "num_inference_steps": 1}
    response = make_client().post(
        "/text-to-image", json=asked, headers={"Content-Encoding": "Identity"}
    )
    assert response.status_code == 200


def respond(error: RunnerError, path: str) -> Response:
    return JSONResponse({"path": path, "says": error.message}, error.status)


async def read(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that reads its body."""
    try:
        body = await Request(scope, receive).body()
    except RunnerError as error:
        await respond(error, scope["path"])(scope, receive, send)
    else:
        await PlainTextResponse(str(len(body)))(scope, receive, send)


class Client:
    """Sends bodies part by part."""

    def __init__(self, limit: BodyLimit) -> None:
        self._limit = limit
        self._parts: asyncio.Queue[Message] = asyncio.Queue()
        self.answer = asyncio.ensure_future(self._ask())

    def send(self, part: bytes, more: bool = True) -> None:
        self._parts.put_nowait({"type": "http.request", "body": part, "more_body": more})

    async def _ask(self) -> tuple[int, str]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
        await self._limit(scope, self._parts.get, send)
        return sent[0]["status"], sent[1]["body"].decode()


async def taken(client: Client) -> AsyncIterator[None]:
    """Until what was sent has been read."""
    while not client._parts.empty():
        yield await asyncio.sleep(0)


def make_limit(max_bytes: int) -> BodyLimit:
    return BodyLimit(read, Arrivals(max_bytes), respond, lambda *_: False)


def test_only_so_much_arrives_at_once() -> None:
    async def main() -> None:
        limit = make_limit(100)
        slow = [Client(limit) for _ in range(8)]
        for client in slow:
            client.send(b"x" * 100)
            async for _ in taken(client):
                pass
        late = Client(limit)
        late.send(b"x")
        status, says = await late.answer
        assert status == 503
        assert "at once" in says
        slow[0].send(b"", more=False)
        assert await slow[0].answer == (200, "100")
        again = Client(limit)
        again.send(b"x" * 100, more=False)
        assert await again.answer == (200, "100")

    asyncio.run(main())


def test_who_stops_in_the_middle_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "LONGEST_PAUSE", 0.01)

    async def main() -> None:
        limit = make_limit(100)
        for _ in range(20):
            client = Client(limit)
            client.send(b"x" * 90)
            status, says = await client.answer
            assert status == 400
            assert "Nothing came" in says

    asyncio.run(main())


def test_the_end_of_the_server_waits_for_no_body() -> None:
    async def main() -> None:
        incoming = Arrivals(100)
        limit = BodyLimit(read, incoming, respond, lambda *_: False)
        slow = Client(limit)
        slow.send(b"x")
        async for _ in taken(slow):
            pass
        incoming.close()
        late = Client(limit)
        for client in (slow, late):
            status, says = await client.answer
            assert status == 503
            assert "shutting down" in says

    asyncio.run(main())


def test_a_picture_still_comes_through(make_client: MakeClient) -> None:
    files = {"image": ("a.png", picture(), "image/png")}
    client = make_client(pipeline="image-to-image")
    assert client.post("/image-to-image", data={"prompt": "a"}, files=files).status_code == 200
