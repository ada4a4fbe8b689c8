import sys
from subprocess import run

import pytest

from app.diffusion.accelerators.apply import _FUNCTIONS
from app.diffusion.accelerators.catalogue import CATALOGUE, contradiction, lora_obstacle, requested
from app.environment import SettingsError
from app.settings import Settings
from tests.conftest import MakeSettings


def test_nothing_is_on_unless_asked(make_settings: MakeSettings) -> None:
    assert requested(make_settings()) == ()


def test_each_row_is_asked_for_by_its_setting(make_settings: MakeSettings) -> None:
    names = [row.setting for row in requested(make_settings(sfast=True, vae_tiling=True))]
    assert names == ["VAE_TILING", "SFAST"]


def test_a_value_has_a_row_of_its_own(make_settings: MakeSettings) -> None:
    (row,) = requested(make_settings(quantize="int8"))
    assert row.setting == "QUANTIZE=int8"


@pytest.mark.parametrize(
    "pair",
    [
        {"sfast": True, "torch_compile": True},
        {"sfast": True, "quantize": "int8"},
        {"sfast": True, "deepcache": True},
        {"torch_compile": True, "offload": "sequential"},
        {"quantize": "fp8", "offload": "model"},
        {"torch_compile": True, "cache": "first-block"},
    ],
)
def test_contradictions_are_refused_with_both_names(
    pair: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"PIPELINE": "text-to-image", "MODEL_ID": "demo"}
    environment |= {name.upper(): str(value) for name, value in pair.items()}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment()
    assert all(name.upper() in str(refusal.value) for name in pair)
    assert "unset one" in str(refusal.value)


def test_what_goes_together_is_accepted(make_settings: MakeSettings) -> None:
    settings = make_settings(torch_compile=True, channels_last=True, vae_slicing=True)
    assert contradiction(requested(settings)) == ""


def test_loras_and_traces_do_not_go_together(make_settings: MakeSettings) -> None:
    assert lora_obstacle(make_settings(sfast=True)) == "SFAST"
    assert lora_obstacle(make_settings(torch_compile=True)) == ""


def test_every_row_has_its_function() -> None:
    stems = {row.setting for row in CATALOGUE}
    assert stems == set(_FUNCTIONS)


def test_the_catalogue_needs_no_torch() -> None:
    code = "import sys, app.settings, app.diffusion.random_models;sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
