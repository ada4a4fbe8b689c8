"""What the OpenAPI document says of the calls is what the service does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.types import ASGIApp

import gen_openapi
from app.jobs import events
from app.main import create_app
from app.pipelines import PIPELINES
from app.settings import DoorName
from tests.conftest import MakeClient, MakeSettings

GUIDE = Path(gen_openapi.__file__).with_name("docs") / "deploy-livepeer.md"
TOKEN = {"Authorization": "Bearer s3cret"}
ERRORS = {"JobError": {"error"}, "HTTPError": {"detail"}, "ErrorResponse": {"error"}}
"""Members of an error's body by its schema."""
FROM_ELSEWHERE = {"headers": {"Sec-Fetch-Site": "cross-site"}}
JSON = {"content": b"{}", "headers": TOKEN | {"Content-Type": "application/json"}}

Document = dict[str, Any]


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events of a job that nobody asked for are refused at once."""
    monkeypatch.setattr(events, "APPEARS", 0.0)


def document_of(client: TestClient) -> Document:
    document: Document = client.get("/openapi.json").json()
    return document


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Every call: its method, its path and what is said of it."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def answers_401(app: ASGIApp, method: str, path: str) -> bool:
    """Whether a call asks for the token, with x for each part of its path that is left open."""
    call = re.sub(r"{.*?}", "x", path)
    return TestClient(app).request(method, call).status_code == 401


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_exactly_the_calls_that_ask_for_the_token_say_so(
    make_settings: MakeSettings, pipeline: str
) -> None:
    app = create_app(make_settings(pipeline=pipeline, auth_token="s3cret"))
    document = app.openapi()
    asking = 0
    for method, path, operation in operations(document):
        declared = operation.get("security") == [{"HTTPBearer": []}]
        assert declared is answers_401(app, method, path), f"{method} {path}"
        asking += declared
    assert asking > 10
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"


def test_the_livepeer_guide_names_all_that_stays_open(make_settings: MakeSettings) -> None:
    app = create_app(make_settings(doors=["livepeer"], auth_token="s3cret"))
    client, guide = TestClient(app), GUIDE.read_text()
    unlisted = {"/metrics", "/docs", "/redoc", "/openapi.json"}
    assert {client.get(path).status_code for path in unlisted} == {200}
    calls = operations(app.openapi())
    listed = {path for method, path, _ in calls if not answers_401(app, method, path)}
    for path in unlisted | listed:
        names = path.replace("job_id", "id"), f"{path.rpartition('/')[0]}/…"
        assert any(f"`{name}`" in guide for name in names), path


@pytest.mark.parametrize(
    ("method", "path", "call", "request_", "status"),
    [
        ("POST", "/run", "/run", {}, 401),
        ("POST", "/run", "/run", JSON, 400),
        ("POST", "/run", "/run", {"content": b"x" * 4000, "headers": TOKEN}, 413),
        ("POST", "/runsync", "/runsync", JSON, 400),
        ("POST", "/runsync", "/runsync?wait=soon", JSON, 400),
        ("GET", "/status/{job_id}", "/status/x", {"headers": TOKEN}, 404),
        ("GET", "/status-sync/{job_id}", "/status-sync/x", {"headers": TOKEN}, 404),
        ("GET", "/status-sync/{job_id}", "/status-sync/x?wait=y", {"headers": TOKEN}, 400),
        ("GET", "/stream/{job_id}", "/stream/x", {"headers": TOKEN}, 404),
        ("POST", "/cancel/{job_id}", "/cancel/x", {"headers": TOKEN}, 404),
        ("POST", "/retry/{job_id}", "/retry/x", {"headers": TOKEN}, 404),
        ("POST", "/purge-queue", "/purge-queue", {}, 401),
        ("POST", "/purge-queue", "/purge-queue", FROM_ELSEWHERE, 400),
        ("DELETE", "/jobs/{job_id}", "/jobs/x", {}, 401),
        ("DELETE", "/jobs/{job_id}", "/jobs/x", {"headers": TOKEN}, 404),
        ("GET", "/jobs/{job_id}/events", "/jobs/x/events", {}, 404),
        ("GET", "/stream/{media_id}.{extension}", "/stream/x.png", {}, 404),
        ("GET", "/v1/models/{model}", "/v1/models/none", {"headers": TOKEN}, 404),
    ],
)  # fmt: skip
def test_refusals_are_as_they_are_described(
    make_client: MakeClient,
    method: str,
    path: str,
    call: str,
    request_: dict[str, Any],
    status: int,
) -> None:
    client = make_client(auth_token="s3cret", max_upload_mb=0.001)
    response = client.request(method, call, **request_)
    assert response.status_code == status, response.text
    responses = document_of(client)["paths"][path][method.lower()]["responses"]
    described = responses.get(str(status)) or responses[f"{status // 100}XX"]
    schema = described["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert response.json().keys() == ERRORS[schema]


def test_a_queue_without_room_is_described(make_client: MakeClient) -> None:
    client = make_client()
    client.app.state.services.queue.refuse()  # type: ignore[attr-defined]
    for path in ("/run", "/runsync"):
        assert client.post(path, json={"input": {"prompt": "a"}}).status_code == 429
        assert "429" in document_of(client)["paths"][path]["post"]["responses"]


def test_answers_without_words_are_described(make_client: MakeClient) -> None:
    client = make_client()
    over = client.get("/jobs/x/events", headers={"Last-Event-ID": "succeeded"})
    paths = document_of(client)["paths"]
    assert str(over.status_code) in paths["/jobs/{job_id}/events"]["get"]["responses"]
    ping = client.get("/ping")
    assert not ping.content
    assert "content" not in paths["/ping"]["get"]["responses"][str(ping.status_code)]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_only_the_generating_routes_answer_422(make_client: MakeClient, pipeline: str) -> None:
    document = document_of(make_client(pipeline=pipeline))
    assert {path for _, path, it in operations(document) if "422" in it["responses"]} == {
        f"/{pipeline}"
    }


def test_a_field_that_does_not_fit_is_described(make_client: MakeClient) -> None:
    client = make_client()
    (issue,) = client.post("/text-to-image", json={"prompt": "a", "width": 5}).json()["detail"]
    schema = document_of(client)["components"]["schemas"]["ValidationError"]
    assert issue.keys() == schema["properties"].keys() == set(schema["required"])


@pytest.mark.parametrize("door", DoorName)
def test_every_schema_that_is_named_is_there(make_client: MakeClient, door: DoorName) -> None:
    """Whichever doors are open: some bring schemas that the others' calls need, too."""
    client = make_client(doors=[door])
    names = re.findall(r"#/components/schemas/([\w-]+)", client.get("/openapi.json").text)
    assert names
    assert set(names) <= document_of(client)["components"]["schemas"].keys()


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_committed_document_has_all_that_a_service_has(
    make_client: MakeClient, pipeline: str
) -> None:
    written = gen_openapi.runner_document("1.0.0")["paths"]
    for method, path, operation in operations(document_of(make_client(pipeline=pipeline))):
        other = written[path][method.lower()]
        for part in ("operationId", "parameters", "security"):
            assert other.get(part) == operation.get(part), f"{method} {path}: {part}"
        assert other["responses"].keys() == operation["responses"].keys(), f"{method} {path}"
