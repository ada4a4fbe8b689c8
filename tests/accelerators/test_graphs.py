"""CUDA_GRAPHS on whole models, with a stand-in for the GPU."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest
import torch

from app.diffusion.accelerators import graphs
from app.diffusion.accelerators.apply import apply
from app.diffusion.accelerators.catalogue import ROW_BUCKETS
from app.diffusion.accelerators.graphs import put_on, with_timestep_rows
from app.errors import ModelNotLoaded
from app.settings import Settings
from app.worker.limits import BatchPolicy
from tests.accelerators.conftest import Load, difference, generate
from tests.accelerators.fake_gpu import FakeGpu
from tests.worker.conftest import Serving, text


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3", "flux", "svd", "wan", "ltx"])
def test_pixels_stay_the_same(load_tiny: Load, family: str) -> None:
    gpu, fast = FakeGpu(), load_tiny(family)
    put_on(fast.pipe, gpu.capture)
    plain = load_tiny(family)
    for _ in range(2):
        assert difference(generate(fast), generate(plain)) < 1e-5
    model = getattr(fast.pipe, "unet", None) or fast.pipe.transformer
    assert model.forward.__wrapped__.graphs == 1


def test_requests_alone_and_merged_have_one_graph_a_bucket(load_tiny: Load) -> None:
    gpu, fast = FakeGpu(), load_tiny("sd")
    put_on(fast.pipe, gpu.capture)
    serving = Serving(fast.pipe, BatchPolicy(buckets=ROW_BUCKETS))
    serving.serve([text(0), text(1)])  # 4 rows
    for seed, images in ((2, 2), (3, 1), (4, 1)):
        serving.serve([text(seed, num_images_per_prompt=images)])
    for request in (5, 6):
        serving.serve([text(request), text(request + 2)])
    assert all(isinstance(outcome, torch.Tensor) for outcome in serving.outcomes)
    assert fast.pipe.unet.forward.__wrapped__.graphs == 2  # of 2 rows, and of 4


def test_text_encoders_and_decoders_have_graphs(load_tiny: Load) -> None:
    fast = load_tiny("sdxl")
    put_on(fast.pipe, FakeGpu().capture)
    for _ in range(2):
        generate(fast, num_inference_steps=1)
    for forward in (
        fast.pipe.text_encoder.forward,
        fast.pipe.text_encoder_2.forward,
        fast.pipe.vae.decoder.forward.__wrapped__,
    ):
        assert forward.graphs == 1


def test_a_large_picture_is_decoded_without(
    load_tiny: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "MOST_DECODED", 1)
    fast = load_tiny("sd")
    put_on(fast.pipe, FakeGpu().capture)
    for _ in range(2):
        generate(fast, num_inference_steps=1)
    assert fast.pipe.vae.decoder.forward.__wrapped__.graphs == 0


@pytest.mark.parametrize("family", ["svd", "wan"])
def test_decoders_that_keep_values_have_none(load_tiny: Load, family: str) -> None:
    fast = load_tiny(family)
    before = fast.pipe.vae.decoder.forward
    put_on(fast.pipe, FakeGpu().capture)
    assert fast.pipe.vae.decoder.forward == before


@pytest.mark.parametrize(
    "steps", [7, 7.0, torch.tensor(7), torch.tensor([7]), torch.tensor([7, 7])]
)
def test_a_timestep_for_each_row_in_one_place(steps: Any) -> None:
    def forward(sample: torch.Tensor, timestep: Any) -> Any:
        return sample, timestep

    for call in (
        lambda it, *args: it(*args),
        lambda it, sample, timestep: it(sample=sample, timestep=timestep),
    ):
        _, timestep = call(with_timestep_rows(forward), torch.ones(2, 3), steps)
        assert timestep.tolist() == [7, 7]


@pytest.mark.parametrize("setting", ["cuda_graphs", "sfast"])
def test_a_pipeline_that_changes_its_denoiser_is_refused(setting: str) -> None:
    values = {"pipeline": "text-to-image", "model_id": "demo", setting: True}
    pipe = object.__new__(diffusers.StableDiffusionPAGPipeline)
    pipe.__dict__["unet"] = torch.nn.Identity()
    with pytest.raises(ModelNotLoaded, match=f"changes it: unset {setting.upper()}"):
        apply(pipe, Settings.model_validate(values), torch.device("cuda"))


def test_it_needs_a_gpu(load_tiny: Load) -> None:
    with pytest.raises(ModelNotLoaded, match="CUDA_GRAPHS needs an NVIDIA GPU"):
        load_tiny("sd", cuda_graphs=True)
