"""What the durable queue's videos answer where a client is mistaken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.conftest import MakeClient, client_in
from tests.jobs.conftest import finished
from tests.pictures import picture
from tests.waiting import wait_until

FORM = {"size": "64x32", "num_inference_steps": "1"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of an image-to-video service with the fake worker, shared by this file's tests."""
    with client_in(tmp_path_factory.mktemp("models"), "image-to-video") as shared:
        yield shared


def create(client: TestClient, **form: str) -> Any:
    """The answer to a request for a video, whose image is a file unless the form names one."""
    files = {} if "input_reference" in form else {"input_reference": picture()}
    return client.post("/v1/videos", data=FORM | form, files=files | {"x": b""})


def test_a_page_after_a_video_that_is_not_there_is_refused(client: TestClient) -> None:
    video_id = create(client).json()["id"]
    assert client.get("/v1/videos", params={"after": video_id}).json()["data"] == []
    client.delete(f"/v1/videos/{video_id}")
    for after in (video_id, "video_unknown"):
        response = client.get("/v1/videos", params={"after": after})
        assert response.status_code == 400
        assert response.json()["error"]["message"] == "after: there is no such video."
        assert response.json()["error"]["param"] == "after"
    assert client.get("/v1/videos", params={"after": ""}).status_code == 200


@pytest.mark.parametrize(
    "reference",
    ['{"image_url": 5}', '["a"]', "[]", '{"image_url": {"url": "x"}}', '{"file_id": "x"}', "{"],
)
def test_a_reference_of_another_kind_is_told_which_are_taken(
    client: TestClient, reference: str
) -> None:
    response = create(client, input_reference=reference)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == "input_reference"
    for accepted in ("file", "data URL", "https URL", '{"image_url": "https://…"}'):
        assert accepted in error["message"]


def test_a_range_beyond_the_end_is_refused_in_openais_words(client: TestClient) -> None:
    video_id = create(client).json()["id"]
    assert finished(client, video_id)["status"] == "COMPLETED"
    url = f"/v1/videos/{video_id}/content"
    size = len(client.get(url).content)
    beyond = client.get(url, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert f"{size} bytes" in beyond.json()["error"]["message"]


def test_a_video_that_is_too_large_to_keep_says_so(make_client: MakeClient) -> None:
    client = make_client(pipeline="image-to-video", results_limit_mb=0.001)
    video_id = create(client).json()["id"]
    wait_until(lambda: client.get(f"/v1/videos/{video_id}").json()["status"] == "failed")
    assert "bytes" in client.get(f"/v1/videos/{video_id}").json()["error"]["message"]
    assert client.get("/v1/videos").status_code == 200
