"""The networks and the sampler of the video model, and their pipeline folder."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from training.latents import LATENT_CHANNELS
from training.motion import FRAMES
from training.text_to_image import LATENT_SIDE

EMBEDDING = 64
TIME_EMBEDDING = 32
VISION_SIDE = 224
"""The pipeline hands the vision tower pictures of this side."""


def build_video_unet() -> UNetSpatioTemporalConditionModel:
    """Return an untrained denoiser; its input is the noisy frames beside the first frame."""
    return UNetSpatioTemporalConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=2 * LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=(
            "DownBlockSpatioTemporal",
            "CrossAttnDownBlockSpatioTemporal",
            "CrossAttnDownBlockSpatioTemporal",
        ),
        up_block_types=(
            "CrossAttnUpBlockSpatioTemporal",
            "CrossAttnUpBlockSpatioTemporal",
            "UpBlockSpatioTemporal",
        ),
        block_out_channels=(64, 64, 96),
        addition_time_embed_dim=TIME_EMBEDDING,
        projection_class_embeddings_input_dim=3 * TIME_EMBEDDING,
        layers_per_block=1,
        cross_attention_dim=EMBEDDING,
        num_attention_heads=(2, 2, 3),
        num_frames=FRAMES,
    )


def build_vision() -> CLIPVisionModelWithProjection:
    """Return an untrained vision tower of one layer that sees 4x4 large patches."""
    config = CLIPVisionConfig(
        hidden_size=EMBEDDING,
        intermediate_size=2 * EMBEDDING,
        projection_dim=EMBEDDING,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=VISION_SIDE,
        patch_size=56,
    )
    return CLIPVisionModelWithProjection(config)


def build_video_scheduler() -> EulerDiscreteScheduler:
    """Return the sampler of Stable Video Diffusion, with a lower top noise level.

    Its 700 is for large pictures, where noise hides less.
    """
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_type="continuous",
        timestep_spacing="leading",
        steps_offset=1,
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=80.0,
    )


def save_video_pipeline(
    vae: AutoencoderKL,
    unet: UNetSpatioTemporalConditionModel,
    vision: CLIPVisionModelWithProjection,
    folder: Path,
) -> None:
    """Write the pipeline under ordinary file names.

    Large weights are stored in half precision; the vision tower is not, as transformers loads
    weights in the precision they were stored in, and the parts have to agree.
    """
    pipeline = StableVideoDiffusionPipeline(
        vae=vae,
        image_encoder=vision,
        unet=unet,
        scheduler=build_video_scheduler(),
        feature_extractor=CLIPImageProcessor(),
    )
    unet.to(torch.float16)
    vae.to(torch.float16)
    pipeline.save_pretrained(folder)
