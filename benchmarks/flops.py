"""Arithmetic of a request, counted on tensors without data.

A multiplication with its addition is 2 FLOP. Attention is counted; text and image encoders are
not: they run once a request and are small beside the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch.utils.flop_counter import FlopCounterMode

from app.diffusion.profiles import ASSUMED_STEPS, profile_for
from app.diffusion.random_models import find_random_model
from app.diffusion.random_pipeline import build_part
from app.diffusion.store import find_model
from app.diffusion.weights import components, read_index
from app.pipelines import PIPELINES
from app.pipelines.base import Media
from app.settings import Settings
from benchmarks.work import Work, params_of

TOKENS = 77
"""Of a CLIP text encoder."""
T5_TOKENS = 512
"""Of FLUX's second text encoder, as its pipeline pads them."""
META = torch.device("meta")


@dataclass(frozen=True, slots=True)
class Flops:
    """Floating-point operations of a request.

    Attributes:
        sample_step: of one row of the denoiser's input in one step.
        decode: of the VAE's decoder for one output.
        job: of the whole request.
        steps: denoising steps.
        rows: rows per output: 2 with guidance, else 1.
    """

    sample_step: int
    decode: int
    job: int
    steps: int
    rows: int


def count(settings: Settings, work: Work) -> Flops | None:
    """The arithmetic of a request; None for architectures that are not known here."""
    models = meta_models(settings)
    denoiser: Any = models.get("transformer", models.get("unet"))
    kind = type(denoiser).__name__
    if kind not in _DENOISERS or "vae" not in models:
        return None
    steps, guided = _steps_and_guidance(settings, work)
    shape = latent_shape(models["vae"], work)
    step = _measure(lambda: _DENOISERS[kind](denoiser, shape))
    frames = getattr(denoiser.config, "num_frames", 1) if kind == _VIDEO else 1
    decode = frames * _measure(lambda: _decode(models["vae"], shape))
    rows = 2 if guided and "Flux" not in kind else 1
    job = work.images * (steps * rows * step + decode)
    return Flops(step, decode, job, steps, rows)


def meta_models(settings: Settings) -> dict[str, Any]:
    """Denoiser and VAE of the model as modules without data."""
    wanted = ("unet", "transformer", "vae")
    if random := find_random_model(settings.model_id):
        parts = random.parts
        return {k: build_part(parts[k], META, torch.float32) for k in wanted if k in parts}
    folder = find_model(settings.model_id, settings.model_dir, settings.pipeline)
    if folder is None:
        return {}
    names = components(read_index(folder))
    return {name: _from_disk(folder / name, names[name]) for name in wanted if name in names}


def _from_disk(folder: Path, class_name: str) -> Any:
    kind = getattr(diffusers, class_name)
    with META:
        return kind.from_config(kind.load_config(folder, local_files_only=True)).eval()


def latent_shape(vae: Any, work: Work) -> tuple[int, int, int]:
    """(channels, height, width) of one image's latents."""
    levels = len(getattr(vae.config, "block_out_channels", (0,) * 4))
    factor = 2 ** (levels - 1)
    return vae.config.latent_channels, work.height // factor, work.width // factor


def _steps_and_guidance(settings: Settings, work: Work) -> tuple[int, bool]:
    """Steps that are run and whether guidance doubles the rows, by the model's rules."""
    kind = PIPELINES[settings.pipeline]
    arguments = kind.arguments(params_of(settings.pipeline, work))
    call = profile_for(settings.model_id).adjust(arguments)
    usual = 50 if kind.media is Media.IMAGE else ASSUMED_STEPS
    steps = int(call.get("num_inference_steps", usual))
    steps = max(1, int(steps * call.get("strength", 1)))
    return steps, kind.name == "image-to-video" or call.get("guidance_scale", 7.5) > 1


def _measure(call: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    return int(counter.get_total_flops())


def _empty(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device=META)


def _run_unet(unet: Any, shape: tuple[int, int, int]) -> None:
    config = unet.config
    _, height, width = shape
    added = None
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        added = {"text_embeds": _empty(1, pooled), "time_ids": _empty(1, 6)}
    unet(
        _empty(1, config.in_channels, height, width),
        torch.zeros(1, device=META),
        encoder_hidden_states=_empty(1, TOKENS, config.cross_attention_dim),
        added_cond_kwargs=added,
    )


_VIDEO = "UNetSpatioTemporalConditionModel"


def _run_video_unet(unet: Any, shape: tuple[int, int, int]) -> None:
    config = unet.config
    _, height, width = shape
    unet(
        _empty(1, config.num_frames, config.in_channels, height, width),
        torch.zeros(1, device=META),
        encoder_hidden_states=_empty(1, 1, config.cross_attention_dim),
        added_time_ids=_empty(1, 3),
    )


def _run_flux(transformer: Any, shape: tuple[int, int, int]) -> None:
    config = transformer.config
    _, height, width = shape
    pixels, words = height * width // 4, T5_TOKENS
    transformer(
        hidden_states=_empty(1, pixels, config.in_channels),
        encoder_hidden_states=_empty(1, words, config.joint_attention_dim),
        pooled_projections=_empty(1, config.pooled_projection_dim),
        timestep=torch.zeros(1, device=META),
        img_ids=_empty(pixels, 3),
        txt_ids=_empty(words, 3),
        guidance=_empty(1) if config.guidance_embeds else None,
    )


def _decode(vae: Any, shape: tuple[int, int, int]) -> None:
    latents = _empty(1, *shape)
    if type(vae).__name__ == "AutoencoderKLTemporalDecoder":
        vae.decode(latents, num_frames=1)
    else:
        vae.decode(latents)


_DENOISERS: dict[str, Callable[[Any, tuple[int, int, int]], None]] = {
    "UNet2DConditionModel": _run_unet,
    _VIDEO: _run_video_unet,
    "FluxTransformer2DModel": _run_flux,
}
"""How each architecture is called with one sample."""
