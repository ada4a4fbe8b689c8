"""The environment, read once and explained when it is wrong."""

from __future__ import annotations

import pytest

from app.environment import EnvironmentSettings, SettingsError
from app.ray_backend.ray_settings import RaySettings
from app.serverless.modal_settings import ModalSettings
from app.settings import Settings


def read(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings.from_environment()


def test_reads_booleans_as_words(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(
        monkeypatch,
        PIPELINE="image-to-video",
        MODEL_ID="m",
        BFLOAT16="false",
        VERBOSE_LOGGING="yes",
    )
    assert not settings.bfloat16
    assert settings.verbose_logging


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, PIPELINE="text-to-image", MODEL_ID="m", AUTH_TOKEN="", PORT="")
    assert settings.auth_token is None
    assert settings.port == 8000


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"MODEL_ID": "m"}, "PIPELINE is not set: set it to one of"),
        ({"PIPELINE": "text-to-image"}, "MODEL_ID is not set: set it to"),
        (
            {"PIPELINE": "text-to-img", "MODEL_ID": "m"},
            "PIPELINE='text-to-img' is not valid: choose",
        ),
        (
            {"PIPELINE": "text-to-image", "MODEL_ID": "m", "PORT": "http"},
            "PORT='http' is not valid",
        ),
        (
            {"PIPELINE": "text-to-image", "MODEL_ID": "m", "OVERLOAD_STATUS": "418"},
            "503, 429 or 500",
        ),
        ({"PIPELINE": "text-to-image", "MODEL_ID": "m", "BFLOAT16": "maybe"}, "BFLOAT16='maybe'"),
        ({"PIPELINE": "text-to-image", "MODEL_ID": "m", "AUTH_TOKEN": " \n"}, "it is blank"),
        ({"PIPELINE": "text-to-image", "MODEL_ID": "m", "VERSION": "new"}, "semantic version"),
        ({"PIPELINE": "text-to-image", "MODEL_ID": "m", "MAX_UPLOAD_MB": "inf"}, "MAX_UPLOAD_MB"),
        ({"PIPELINE": "text-to-image", "MODEL_ID": "m", "WARMUP_SIZES": "64x9"}, "multiples of 8"),
    ],
)
def test_explains_what_is_wrong_in_one_line(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], says: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(monkeypatch, **environment)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_token_that_was_read_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, PIPELINE="text-to-image", MODEL_ID="m", AUTH_TOKEN="s3cret\n")
    assert settings.auth_token is not None
    assert settings.auth_token.get_secret_value() == "s3cret"


def test_never_shows_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, PIPELINE="text-to-image", MODEL_ID="m", AUTH_TOKEN="s3cret")
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("settings", "name", "value", "says"),
    [
        (RaySettings, "MIN_REPLICAS", "2", "MIN_REPLICAS is larger than MAX_REPLICAS"),
        (RaySettings, "TARGET_JOBS", "many", "TARGET_JOBS='many' is not valid: "),
        (ModalSettings, "REQUEST_TIMEOUT", "0", "REQUEST_TIMEOUT='0' is not valid: "),
    ],
)
def test_a_deployments_settings_are_explained_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    settings: type[EnvironmentSettings],
    name: str,
    value: str,
    says: str,
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        settings.from_environment()
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_a_slip(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUEUE_LIMT", "AUTHTOKEN", "MAX_STEP", "HOSTNAME", "HOME", "MODEL", "PATH"):
        monkeypatch.setenv(name, "1")
    assert Settings.misspelt() == {
        "AUTHTOKEN": "AUTH_TOKEN",
        "MAX_STEP": "MAX_STEPS",
        "QUEUE_LIMT": "QUEUE_LIMIT",
    }
