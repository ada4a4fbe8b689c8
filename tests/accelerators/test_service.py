"""Accelerators through the real worker: what the service says and refuses."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.engine.admission import Admission
from app.errors import LoraInvalid, ModelNotLoaded
from app.pipelines import PIPELINES
from app.settings import Settings
from benchmarks.core import Core
from benchmarks.work import Work
from tests import checkpoints
from tests.conftest import MakeSettings


def settings_of(model_dir: Path, **values: object) -> Settings:
    fixed = {"pipeline": "text-to-image", "model_dir": model_dir, "device": "cpu"}
    return Settings.model_validate({**fixed, "warmup_sizes": "64x64", **values})


def test_active_accelerators_are_reported_and_compilations_counted(model_dir: Path) -> None:
    settings = settings_of(
        model_dir,
        model_id=checkpoints.make("sd", model_dir),
        torch_compile=True,
        torch_compile_backend="eager",
        vae_slicing=True,
    )

    async def run() -> None:
        async with Core(settings) as core:
            assert core.ready.accelerators == ("VAE_SLICING", "TORCH_COMPILE")
            warm = core.ready.usage.compilations
            assert warm > 0
            measured = await core.run(Work(64, 96, num_inference_steps=2))
            assert measured.usage.compilations == warm

    asyncio.run(run())


def test_what_fails_in_the_warm_up_stops_the_start(model_dir: Path) -> None:
    settings = settings_of(
        model_dir,
        model_id=checkpoints.make("sd", model_dir),
        torch_compile=True,
        torch_compile_backend="tvm",  # known to PyTorch, and not installed
    )

    async def run() -> None:
        async with Core(settings):
            pass

    with pytest.raises(ModelNotLoaded, match="does not run with TORCH_COMPILE"):
        asyncio.run(run())


def test_loras_are_refused_where_they_would_do_nothing(
    make_settings: MakeSettings, tmp_path: Path
) -> None:

    lora = checkpoints.make("lora", tmp_path)
    params = PIPELINES["text-to-image"].params.model_validate(
        {"prompt": "a cat", "loras": f'{{"{lora}": 1}}'}
    )
    assert Admission(make_settings()).admit(params).loras
    with pytest.raises(LoraInvalid, match="this server runs with FUSE_QKV"):
        Admission(make_settings(fuse_qkv=True)).admit(params)
