"""The token and the size of the body, both checked before anything is done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.main import create_app
from tests.conftest import MakeClient, MakeSettings
from tests.server import fake_server

SMALL = {"prompt": "a", "width": 64, "height": 32, "num_inference_steps": 1}


@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "Bearer", "Basic s3cret", "s3cret", "Bearer s3cret2"]
)
@pytest.mark.parametrize("path", ["/text-to-image", "/text-to-image/"])
def test_without_the_token_nothing_is_read(
    make_client: MakeClient, header: str | None, path: str
) -> None:
    client = make_client(auth_token="s3cret")
    headers = {"Authorization": header} if header else {}
    response = client.post(path, content=b"{ this is not even JSON", headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json() == {"detail": {"msg": "Invalid bearer token."}}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_with_the_token_all_works(make_client: MakeClient, scheme: str) -> None:
    client = make_client(auth_token="s3cret")
    headers = {"Authorization": f"{scheme} s3cret"}
    assert client.post("/text-to-image", json=SMALL, headers=headers).status_code == 200


def test_metadata_stays_open(make_client: MakeClient) -> None:
    client = make_client(auth_token="s3cret")
    for path in ("/health", "/health/", "/version", "/hardware/info", "/hardware/stats", "/docs"):
        assert client.get(path).status_code in (200, 503), path


def test_an_announced_body_that_is_too_large_is_not_read(make_client: MakeClient) -> None:
    response = make_client(max_upload_mb=0.001).post("/text-to-image", content=b"x" * 2000)
    assert response.status_code == 400
    assert "MAX_UPLOAD_MB" in response.json()["detail"]["msg"]


def test_an_unannounced_one_is_stopped_while_it_comes(make_client: MakeClient) -> None:
    sent = 0

    def chunks() -> object:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"x" * 1000

    client = make_client(pipeline="image-to-image", max_upload_mb=0.001)
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    response = client.post("/image-to-image", content=chunks(), headers=headers)
    assert response.status_code == 400
    assert "MAX_UPLOAD_MB" in response.json()["detail"]["msg"]


@pytest.mark.parametrize("pipeline", ["text-to-image", "image-to-image", "image-to-video"])
@pytest.mark.parametrize("root", ["", "/api"])
def test_no_way_of_writing_a_path_gets_around_the_token(
    make_settings: MakeSettings, pipeline: str, root: str
) -> None:
    app = create_app(make_settings(pipeline=pipeline, auth_token="s3cret"))
    client = TestClient(app, root_path=root, follow_redirects=False)
    guarded = [
        (method, path)
        for method, path in _requests(app)
        if client.request(method, root + path).status_code == 401
    ]
    assert {("POST", f"/{pipeline}"), ("POST", "/run"), ("POST", "/models/x")} <= {*guarded}
    for method, path in guarded:
        for ending in ("/", "%0A", "/%0A"):
            assert client.request(method, root + path + ending).status_code == 401, (path, ending)
    for path in ("/models", "/models/", "/v2/any/run%0A", "/v1/images/generations%0A"):
        assert client.post(root + path).status_code == 401, path


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=b", None])
@pytest.mark.parametrize("path", ["/purge-queue", "/run", "/text-to-image", "/models/some/model"])
@pytest.mark.parametrize(
    "site",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://elsewhere.example"},  # all that is said to http://192.168.…
        {"Origin": "null"},
    ],
)
def test_a_page_of_another_site_changes_nothing(
    make_client: MakeClient, path: str, content_type: str | None, site: dict[str, str]
) -> None:
    headers = dict(site)
    if content_type:
        headers["Content-Type"] = content_type
    response = make_client().post(path, content=b'{"inputs": "a"}', headers=headers)
    assert response.status_code == 400
    assert "another site" in response.text


def test_other_pages_may_do_what_they_have_to_ask_for_first(make_client: MakeClient) -> None:
    site = {"Sec-Fetch-Site": "cross-site"}
    assert make_client().post("/text-to-image", json=SMALL, headers=site).status_code == 200
    assert make_client().get("/version", headers=site).status_code == 200
    for own in (
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy"},
        {"Origin": "http://testserver"},
    ):
        assert make_client().post("/purge-queue", headers=own).status_code == 200


@pytest.mark.parametrize("root", ["", "/api"])
def test_a_slash_at_the_end_names_nothing_else(make_settings: MakeSettings, root: str) -> None:
    client = TestClient(create_app(make_settings()), root_path=root, follow_redirects=False)
    for path in ("/version", "/hardware/info", "/ping", "/docs", "/metrics", "/v1/models"):
        assert client.get(f"{root}{path}/").status_code == client.get(root + path).status_code, path
    assert client.get(f"{root}/").headers["content-type"].startswith("text/html")
    assert client.post(f"{root}/run/", json={}).status_code == 400


def test_head_is_get_without_its_body(tmp_path: Path) -> None:
    with fake_server(tmp_path) as server, server.wait_ready().client() as client:
        for path in ("/", "/health", "/version", "/page/main.js"):
            response = client.head(path)
            assert response.status_code == 200, path
            assert response.content == b""
            assert response.headers["content-type"] == client.get(path).headers["content-type"]


def _requests(app: FastAPI) -> list[tuple[str, str]]:
    """Every call of the API, with x for each part of a path that is left open."""
    return [
        (method.upper(), re.sub(r"{.*?}", "x", path))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]
