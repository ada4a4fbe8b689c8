"""What a route that takes a form says to those who send something else, or half of one."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import SpooledTemporaryFile

import httpx
import pytest

from app.settings import MEBIBYTE
from tests.conftest import MakeClient, client_in
from tests.pictures import picture

LIVEPEER, EDITS = "/image-to-image", "/v1/images/edits"
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}
FILE = ("a.png", picture(), "image/png")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with client_in(tmp_path_factory.mktemp("models"), "image-to-image") as shared:
        yield shared


def part(name: str, content: bytes) -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    return head.encode() + content + b"\r\n"


BODIES = [
    {"json": {"prompt": "a", "image": "iVBORw0KGgo="}},
    {"content": b"a picture", "headers": {"Content-Type": "image/png"}},
    {},
]


@pytest.mark.parametrize("body", BODIES)
def test_what_is_no_form_is_told_to_be_one(client: httpx.Client, body: dict[str, object]) -> None:
    response = client.post(LIVEPEER, **body)  # type: ignore[arg-type]
    assert response.status_code == 422
    (issue,) = response.json()["detail"]
    assert issue["loc"] == ["body"]
    assert issue["msg"] == "Send multipart/form-data; with curl: -F image=@picture.png"


@pytest.mark.parametrize("body", BODIES)
def test_an_edit_says_so_in_openais_words(client: httpx.Client, body: dict[str, object]) -> None:
    response = client.post(EDITS, **body)  # type: ignore[arg-type]
    assert response.status_code == 400
    assert "-F image=@picture.png" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/sync"])
def test_a_video_names_its_own_field(make_client: MakeClient, path: str) -> None:
    response = make_client(pipeline="image-to-video").post(path, json={"prompt": "a"})
    assert response.status_code == 400
    assert "-F input_reference=@picture.png" in response.json()["error"]["message"]


def test_a_form_without_a_file_lacks_just_that(client: httpx.Client) -> None:
    (issue,) = client.post(LIVEPEER, data={"prompt": "a"}).json()["detail"]
    assert issue["loc"] == ["body", "image"]


@pytest.mark.parametrize("body", [b"", part("prompt", b"a"), part("prompt", b"a")[:-9]])
@pytest.mark.parametrize("path", [LIVEPEER, EDITS])
def test_a_form_that_breaks_off_is_told_so(client: httpx.Client, path: str, body: bytes) -> None:
    response = client.post(path, content=body, headers=MULTIPART)
    assert response.status_code == 400
    assert "The body ended early" in response.text


@pytest.mark.parametrize("path", [LIVEPEER, EDITS])
def test_text_in_another_encoding_is_refused(client: httpx.Client, path: str) -> None:
    body = part("prompt", "Kühe".encode("latin-1")) + part("image", b"") + b"--b--\r\n"
    response = client.post(path, content=body, headers=MULTIPART)
    assert response.status_code == 400
    assert "prompt: the text is not UTF-8." in response.text


def test_text_of_an_encoding_that_is_named_is_taken(client: httpx.Client) -> None:
    body = part("prompt", "Kühe".encode("latin-1")) + b"--b--\r\n"
    headers = {"Content-Type": MULTIPART["Content-Type"] + "; charset=latin-1"}
    (issue,) = client.post(LIVEPEER, content=body, headers=headers).json()["detail"]
    assert issue["loc"] == ["body", "image"]


@pytest.mark.parametrize(
    ("path", "prompts", "images", "says"),
    [
        (LIVEPEER, ["a", "b"], 1, "prompt: send it once; 2 were sent."),
        (LIVEPEER, ["a"], 2, "image: send it once; 2 were sent."),
        (EDITS, ["a", "b"], 1, "prompt: send it once; 2 were sent."),
        (EDITS, ["a"], 2, "image: the loaded pipeline changes one image; 2 were sent."),
    ],
)
def test_a_field_comes_once(
    client: httpx.Client, path: str, prompts: list[str], images: int, says: str
) -> None:
    files = [("image", FILE)] * images
    response = client.post(path, data={"prompt": prompts}, files=files)
    assert response.status_code == 400
    assert says in response.text


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/sync"])
@pytest.mark.parametrize("name", ["fps", "input_reference[image_url]"])
def test_a_videos_field_comes_once(make_client: MakeClient, path: str, name: str) -> None:
    files = {"input_reference": FILE}
    client = make_client(pipeline="image-to-video")
    response = client.post(path, data={name: ["4", "8"]}, files=files)
    assert response.status_code == 400
    assert response.json()["error"]["message"] == f"{name}: send it once; 2 were sent."
    assert response.json()["error"]["param"] == name


def test_text_of_an_unknown_encoding_is_taken(client: httpx.Client) -> None:
    body = part("prompt", "Kühe".encode("latin-1")) + b"--b--\r\n"
    for charset in ("klingon", "base64"):
        headers = {"Content-Type": f"{MULTIPART['Content-Type']}; charset={charset}"}
        (issue,) = client.post(LIVEPEER, content=body, headers=headers).json()["detail"]
        assert issue["loc"] == ["body", "image"]


def test_a_large_file_never_touches_the_disk(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolled: list[object] = []
    monkeypatch.setattr(SpooledTemporaryFile, "rollover", rolled.append)
    files = {"image": ("a.png", b"\0" * 2 * MEBIBYTE, "image/png")}
    response = client.post(LIVEPEER, data={"prompt": "a"}, files=files)
    assert "not an image" in response.json()["detail"]["msg"]
    assert not rolled
