"""DOORS: which protocols a service offers."""

from __future__ import annotations

import pytest

from app.environment import SettingsError
from app.settings import DoorName, Settings
from tests.conftest import MakeClient

BODY = {"prompt": "a", "inputs": "a", "input": {"prompt": "a"}, "num_inference_steps": 1}
REQUESTS = {
    DoorName.LIVEPEER: ("POST", "/text-to-image"),
    DoorName.OPENAI: ("POST", "/v1/images/generations"),
    DoorName.HUGGINGFACE: ("POST", "/models/some/model"),
    DoorName.RUNPOD: ("POST", "/runsync"),
    DoorName.PAGE: ("GET", "/"),
}


def test_all_are_open_by_default(make_client: MakeClient) -> None:
    client = make_client()
    for method, path in REQUESTS.values():
        assert client.request(method, path, json=BODY).status_code == 200, path


@pytest.mark.parametrize("shut", DoorName)
def test_each_can_be_shut_by_itself(make_client: MakeClient, shut: DoorName) -> None:
    client = make_client(doors=[door for door in DoorName if door is not shut])
    documented = client.get("/openapi.json").json()["paths"]
    for door, (method, path) in REQUESTS.items():
        response = client.request(method, path, json=BODY)
        assert (response.status_code in (404, 405)) == (door is shut), path
        if door is shut:
            assert path not in documented
    assert client.get("/health").status_code == 200


def test_the_environment_lists_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE", "text-to-image")
    monkeypatch.setenv("MODEL_ID", "some/model")
    monkeypatch.setenv("DOORS", "openai, page")
    assert Settings.from_environment().doors == (DoorName.OPENAI, DoorName.PAGE)
    monkeypatch.setenv("DOORS", "openai,telnet")
    with pytest.raises(SettingsError, match=r"DOORS='telnet' .*'huggingface'"):
        Settings.from_environment()
