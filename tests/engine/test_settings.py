"""The environment, read once and explained when it is wrong."""

from __future__ import annotations

import pytest

from app.settings import Settings, SettingsError


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
    ],
)
def test_explains_what_is_wrong_in_one_line(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], says: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(monkeypatch, **environment)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_never_shows_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, PIPELINE="text-to-image", MODEL_ID="m", AUTH_TOKEN="s3cret")
    assert "s3cret" not in repr(settings)
