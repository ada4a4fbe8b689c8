"""A tiny random Stable Diffusion of the real one's geometry.

Its latents have an eighth of the picture's side, and its denoiser has every level and block, so
that a forward at 64x64 costs more in overhead than in arithmetic, as 512x512 does on a large GPU.
"""

from __future__ import annotations

from typing import Any

import diffusers
import torch

from tests.checkpoints.parts import clip_text, clip_tokenizer, ddim, sd_unet, vae


def tiny_pipe() -> Any:
    """The pipeline, a few channels wide."""
    torch.manual_seed(0)
    pipe = diffusers.StableDiffusionPipeline(
        vae=vae(
            block_out_channels=(8, 8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
        ),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(),
        unet=sd_unet(
            block_out_channels=(16, 32, 32, 32),
            layers_per_block=2,
            down_block_types=(*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
            up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
        ),
        scheduler=ddim(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
