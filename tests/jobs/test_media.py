"""Media by URL: what a browser asks, and what the disk keeps."""

from __future__ import annotations

import asyncio
import base64
import io
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.media import shelf as shelf_module
from app.media.shelf import MediaShelf
from tests.clock import Clock
from tests.conftest import MakeClient
from tests.jobs.conftest import TINY, finished
from tests.pictures import picture
from tests.waiting import until

Result = TypeVar("Result")


def ask(client: TestClient, **query: str) -> str:
    """URL of a new image."""
    response = client.post("/text-to-image", params=query, json=TINY)
    assert response.status_code == 200, response.text
    return str(response.json()["images"][0]["url"])


def test_a_data_url_unless_asked_otherwise(make_client: MakeClient) -> None:
    for setting, query, is_url in (
        (False, {}, False),
        (False, {"response": "url"}, True),
        (True, {}, True),
        (True, {"response": "data_url"}, False),
    ):
        url = ask(make_client(response_urls=setting), **query)
        assert url.startswith("http://testserver/stream/" if is_url else "data:image/png")


def test_another_choice_is_refused(client: TestClient) -> None:
    response = client.post("/text-to-image", params={"response": "pigeon"}, json=TINY)
    assert response.status_code == 400
    assert "data_url" in response.json()["detail"]["msg"]


def test_a_public_url(make_client: MakeClient) -> None:
    client = make_client(public_url="https://images.example/api/")
    assert ask(client, response="url").startswith("https://images.example/api/stream/")


def test_an_image_with_all_that_a_browser_wants(client: TestClient) -> None:
    url = ask(client, response="url")
    response = client.get(url)
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in response.headers["cache-control"]
    assert response.headers["content-disposition"].startswith("inline")
    assert Image.open(io.BytesIO(response.content)).size == (16, 16)
    etag = response.headers["etag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        unchanged = client.get(url, headers={"If-None-Match": known})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == etag
    assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    head = client.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(response.content))


@pytest.mark.parametrize(("extension", "kind"), [("jpg", "JPEG"), ("webp", "WEBP")])
def test_other_formats_of_the_same_image(client: TestClient, extension: str, kind: str) -> None:
    url = ask(client, response="url").replace(".png", f".{extension}")
    response = client.get(url)
    image = Image.open(io.BytesIO(response.content))
    assert (image.format, image.size) == (kind, (16, 16))
    assert response.headers["content-type"] == f"image/{kind.lower()}"
    etag = response.headers["etag"]
    assert client.get(url, headers={"If-None-Match": etag}).status_code == 304
    assert client.head(url).headers["content-length"] == str(len(response.content))


def test_a_video_seeks(make_client: MakeClient) -> None:
    client = make_client(pipeline="image-to-video")
    fields = {"width": 16, "height": 16, "num_inference_steps": 1}
    response = client.post(
        "/image-to-video?response=url", data=fields, files={"image": picture(16, 16)}
    ).json()
    assert all(frame["url"].endswith(".png") for frame in response["frames"][0])
    url = response["images"][0]["url"]
    whole = client.get(url)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    size = len(whole.content)
    etag = whole.headers["etag"]
    for asked, first, last in (
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, size - 1),
        ("bytes=-50", size - 50, size - 1),
        ("Bytes = 0-9", 0, 9),
        (f"bytes=10-{size + 99}", 10, size - 1),
    ):
        part = client.get(url, headers={"Range": asked})
        assert part.status_code == 206, asked
        assert part.content == whole.content[first : last + 1]
        assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
    part = client.get(url, headers={"Range": "bytes=0-9", "If-Range": etag})
    assert part.status_code == 206
    changed = client.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (changed.status_code, len(changed.content)) == (200, size)
    beyond = client.get(url, headers={"Range": f"bytes={size}-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{size}"
    assert f"{size} bytes" in beyond.json()["detail"]["msg"]
    several = client.get(url, headers={"Range": "bytes=0-1, 4-7"})
    assert several.status_code == 206
    assert several.headers["content-type"].startswith("multipart/byteranges")
    assert client.get(url.replace(".mp4", ".jpg")).status_code == 404


@pytest.mark.parametrize(
    "asked",
    [
        "items=0-1",
        "bytes=abc",
        "bytes=5-1",
        "bytes=-",
        "Bytes=-",
        "bytes",
        "bytes=--5",
        "bytes=0-1,abc",
    ],
)
def test_what_is_no_range_is_ignored(client: TestClient, asked: str) -> None:
    url = ask(client, response="url")
    response = client.get(url, headers={"Range": asked})
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert response.content == client.get(url).content


@pytest.mark.parametrize(
    "name",
    [
        "0123456789abcdef0123456789abcdef.png",
        "0123456789abcdef0123456789abcdef.exe",
        "x.png",
        "..%2F..%2Fetc%2Fpasswd.png",
        "%2e%2e.png",
    ],
)
def test_names_that_lead_nowhere(client: TestClient, name: str) -> None:
    response = client.get(f"/stream/{name}")
    assert response.status_code == 404
    assert "msg" in response.json()["detail"]


def test_an_id_opens_what_the_token_protects(make_client: MakeClient) -> None:
    client = make_client(auth_token="s3cret")
    bearer = {"Authorization": "Bearer s3cret"}
    response = client.post("/text-to-image?response=url", json=TINY, headers=bearer)
    url = response.json()["images"][0]["url"]
    name = url.rpartition("/")[2]
    assert len(bytes.fromhex(name.partition(".")[0])) * 8 >= 128
    assert client.get(url).status_code == 200
    assert client.head(url).status_code == 200
    assert client.get(url, headers=bearer).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/stream/x.png"), ("GET", "/stream/x."), ("GET", "/stream/.x")]
)
def test_a_dot_in_its_id_does_not_make_a_call_a_file(
    make_client: MakeClient, method: str, path: str
) -> None:
    client = make_client(auth_token="s3cret")
    assert client.request(method, path).status_code == 401
    bearer = {"Authorization": "Bearer s3cret"}
    assert client.request(method, path, headers=bearer).status_code == 404


def test_jobs_answer_by_url_too(client: TestClient) -> None:
    accepted = client.post("/run?response=url", json={"input": TINY}).json()
    output = finished(client, accepted["id"])["output"]
    assert "body" not in output
    image = output["images"][0]
    assert image["seed"] == 7
    assert client.get(image["url"]).content.startswith(b"\x89PNG")


def test_without_room_the_answer_carries_the_image(make_client: MakeClient) -> None:
    client = make_client(media_limit_mb=0)
    assert ask(client, response="url").startswith("data:image/png")
    job = client.post("/runsync?response=url", json={"input": TINY}).json()
    assert base64.b64decode(job["output"]["body"]).startswith(b"\x89PNG")


def test_a_folder_that_cannot_be_written_costs_no_request(
    make_client: MakeClient, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "media").write_text("a file where the folder should be")
    assert ask(make_client(), response="url").startswith("data:image/png")


def test_metadata_in_pngs(make_client: MakeClient) -> None:
    given = {**TINY, "prompt": "été à Paris", "negative_prompt": "rain", "guidance_scale": 5}
    for embed in (False, True):
        client = make_client(embed_metadata=embed)
        answer = client.post("/text-to-image", json=given).json()
        data = base64.b64decode(answer["images"][0]["url"].partition(",")[2])
        text = Image.open(io.BytesIO(data)).text  # type: ignore[attr-defined]
        expected = {
            "prompt": "été à Paris",
            "negative_prompt": "rain",
            "seed": "7",
            "steps": "2",
            "guidance": "5.0",
            "size": "16x16",
            "model": "some/model",
        }
        assert text == (expected if embed else {})


# The shelf ------------------------------------------------------------------------------


def run(work: Callable[[MediaShelf], Awaitable[Result]], folder: Path, **values: object) -> Result:
    """Do something with a shelf of 1000 bytes and 100 seconds."""
    defaults = {"limit_bytes": 1000, "retention": 100.0, "clock": Clock()}
    shelf = MediaShelf(folder, **{**defaults, **values})  # type: ignore[arg-type]

    async def main() -> Result:
        return await work(shelf)

    try:
        return asyncio.run(main())
    finally:
        shelf.close()


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_the_oldest_make_room_and_the_limit_holds(tmp_path: Path) -> None:
    async def work(shelf: MediaShelf) -> None:
        names = []
        for _ in range(7):
            names.append(await shelf.put(b"x" * 300, "image/png"))
            assert size_of(tmp_path) <= 1000
        found = [bool(await shelf.find(str(name))) for name in names]
        assert found == [False] * 4 + [True] * 3
        assert await shelf.put(b"x" * 1001, "image/png") is None
        assert await shelf.find(str(names[-1]))

    run(work, tmp_path)


def test_an_earlier_process_left_files_behind(tmp_path: Path) -> None:
    clock = Clock()

    async def first(shelf: MediaShelf) -> list[str]:
        names = []
        for _ in range(3):
            clock.now += 1
            names.append(str(await shelf.put(b"x" * 300, "image/png")))
        return names

    names = run(first, tmp_path, clock=clock)
    (tmp_path / "half.png.part").write_bytes(b"x" * 300)  # its writer was killed

    async def second(shelf: MediaShelf) -> list[bool]:
        await shelf.put(b"x" * 300, "video/mp4")
        assert size_of(tmp_path) <= 1000
        return [bool(await shelf.find(name)) for name in names]

    assert run(second, tmp_path, clock=clock) == [False, True, True]


def test_old_files_go(tmp_path: Path) -> None:
    clock = Clock()

    async def work(shelf: MediaShelf) -> None:
        old = str(await shelf.put(b"old", "image/png"))
        clock.now += 60
        young = str(await shelf.put(b"young", "image/png"))
        clock.now += 40
        assert await shelf.find(old) is None
        assert await shelf.find(young)
        await shelf.sweep()
        assert names_in(tmp_path) == [young]

    run(work, tmp_path, clock=clock)


def test_a_file_and_its_name_are_on_the_disk_before_it_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "media"
    flushed: list[tuple[int, list[str]]] = []

    def record(descriptor: int) -> None:
        flushed.append((os.fstat(descriptor).st_ino, names_in(folder)))

    monkeypatch.setattr(os, "fsync", record)

    name = str(run(lambda shelf: shelf.put(b"x", "image/png"), folder))

    assert flushed == [
        (tmp_path.stat().st_ino, []),
        ((folder / name).stat().st_ino, [f"{name}.part"]),
        (folder.stat().st_ino, [name]),
    ]


def test_sweeping_goes_on_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shelf_module, "SWEEP", 0.01)
    folder = tmp_path / "media"
    folder.touch()  # no folder, so that its files cannot be listed

    async def work(shelf: MediaShelf) -> None:
        sweeping = asyncio.create_task(shelf.sweep_for_ever())
        await until(lambda: "cannot be removed" in caplog.text)
        make_old_file(folder)
        await until(lambda: names_in(folder) == [])
        sweeping.cancel()

    run(work, folder)


def make_old_file(folder: Path) -> None:
    """Replace what is there by a folder with a file of 1970."""
    made = folder.with_name("made")
    made.mkdir()
    (made / "old.png").write_bytes(b"old")
    os.utime(made / "old.png", (0, 0))
    folder.unlink()
    made.rename(folder)
