"""`MODEL_ID=random:…`: true architectures with random weights, for measuring without downloads.

The speed of a diffusion model depends on its architecture and not on what it has learned. Here
are the public configurations of well-known models as data; `random_pipeline` builds them in
memory. This module needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "random:"

Config = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a pipeline.

    Attributes:
        library: `diffusers` or `transformers`.
        class_name: its class.
        config: arguments of the class's configuration.
    """

    library: str
    class_name: str
    config: Config

    @property
    def has_weights(self) -> bool:
        """Whether it is a network, rather than a scheduler or a processor of images."""
        return not self.class_name.endswith(("Scheduler", "Processor"))


@dataclass(frozen=True, slots=True)
class RandomModel:
    """A model to build.

    Attributes:
        stands_for: MODEL_ID of the real model, whose rules (`app.diffusion.profiles`) apply.
        pipeline: class of its pipeline.
        parts: its components by name, tokenizers apart.
        dtype: torch's name of the weights' type on a GPU.
    """

    stands_for: str
    pipeline: str
    parts: Mapping[str, Part]
    dtype: str = "float16"


_ATTENTION_DOWN = "CrossAttnDownBlock2D"
_ATTENTION_UP = "CrossAttnUpBlock2D"
_NOISE: Config = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def _unet(**changes: object) -> Part:
    """A UNet of Stable Diffusion; what is not said is diffusers' default, that of 1.x."""
    return Part("diffusers", "UNet2DConditionModel", changes)


def _vae(**changes: object) -> Part:
    """The autoencoder that all these models share, but for the numbers in `changes`."""
    config: dict[str, object] = {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "sample_size": 512,
    }
    return Part("diffusers", "AutoencoderKL", config | changes)


def _clip(width: int, layers: int, heads: int, projection: bool = False, **more: object) -> Part:
    """A CLIP text encoder with the usual vocabulary and 77 tokens."""
    config: dict[str, object] = {
        "vocab_size": 49408,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "projection_dim": width,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 1,
    }
    kind = "CLIPTextModelWithProjection" if projection else "CLIPTextModel"
    return Part("transformers", kind, config | more)


def _scheduler(class_name: str, **config: object) -> Part:
    return Part("diffusers", class_name, config)


_CLIP_L = _clip(768, 12, 12)
_SD_PIPELINE = "StableDiffusionPipeline"

_SDXL_UNET = _unet(
    sample_size=128,
    block_out_channels=(320, 640, 1280),
    down_block_types=("DownBlock2D", _ATTENTION_DOWN, _ATTENTION_DOWN),
    up_block_types=(_ATTENTION_UP, _ATTENTION_UP, "UpBlock2D"),
    transformer_layers_per_block=(1, 2, 10),
    attention_head_dim=(5, 10, 20),
    cross_attention_dim=2048,
    use_linear_projection=True,
    addition_embed_type="text_time",
    addition_time_embed_dim=256,
    projection_class_embeddings_input_dim=2816,
)


def _sdxl(stands_for: str, **scheduler: object) -> RandomModel:
    return RandomModel(
        stands_for,
        "StableDiffusionXLPipeline",
        {
            "unet": _SDXL_UNET,
            "vae": _vae(sample_size=1024, scaling_factor=0.13025),
            "text_encoder": _CLIP_L,
            "text_encoder_2": _clip(1280, 32, 20, projection=True, hidden_act="gelu"),
            "scheduler": _scheduler("EulerDiscreteScheduler", **_NOISE, **scheduler),
        },
    )


RANDOM_MODELS: Mapping[str, RandomModel] = {
    "sd15": RandomModel(
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        _SD_PIPELINE,
        {
            "unet": _unet(sample_size=64, cross_attention_dim=768, attention_head_dim=8),
            "vae": _vae(),
            "text_encoder": _CLIP_L,
            "scheduler": _scheduler(
                "PNDMScheduler", **_NOISE, skip_prk_steps=True, set_alpha_to_one=False
            ),
        },
    ),
    "sd-turbo": RandomModel(
        "stabilityai/sd-turbo",
        _SD_PIPELINE,
        {
            "unet": _unet(
                sample_size=64,
                cross_attention_dim=1024,
                attention_head_dim=(5, 10, 20, 20),
                use_linear_projection=True,
            ),
            "vae": _vae(sample_size=768),
            "text_encoder": _clip(1024, 23, 16, hidden_act="gelu"),
            "scheduler": _scheduler(
                "EulerDiscreteScheduler", **_NOISE, timestep_spacing="trailing"
            ),
        },
    ),
    "sdxl": _sdxl("stabilityai/stable-diffusion-xl-base-1.0"),
    "sdxl-lightning": _sdxl("ByteDance/SDXL-Lightning-4step", timestep_spacing="trailing"),
    "svd-xt": RandomModel(
        "stabilityai/stable-video-diffusion-img2vid-xt",
        "StableVideoDiffusionPipeline",
        {
            "unet": Part(
                "diffusers",
                "UNetSpatioTemporalConditionModel",
                {"num_frames": 25, "num_attention_heads": (5, 10, 20, 20), "sample_size": 96},
            ),
            "vae": Part(
                "diffusers",
                "AutoencoderKLTemporalDecoder",
                {
                    "block_out_channels": (128, 256, 512, 512),
                    "down_block_types": ("DownEncoderBlock2D",) * 4,
                    "layers_per_block": 2,
                    "sample_size": 768,
                },
            ),
            "image_encoder": Part(
                "transformers",
                "CLIPVisionModelWithProjection",
                {
                    "hidden_size": 1280,
                    "intermediate_size": 5120,
                    "num_hidden_layers": 32,
                    "num_attention_heads": 16,
                    "patch_size": 14,
                    "projection_dim": 1024,
                    "hidden_act": "gelu",
                },
            ),
            "scheduler": _scheduler(
                "EulerDiscreteScheduler",
                **_NOISE,
                prediction_type="v_prediction",
                timestep_type="continuous",
                timestep_spacing="leading",
                steps_offset=1,
                sigma_min=0.002,
                sigma_max=700.0,
                use_karras_sigmas=True,
            ),
            "feature_extractor": Part(
                "transformers", "CLIPImageProcessor", {"crop_size": 224, "size": 224}
            ),
        },
    ),
    "flux-schnell": RandomModel(
        "black-forest-labs/FLUX.1-schnell",
        "FluxPipeline",
        {
            # guidance_embeds=False is what sets schnell apart; the rest is diffusers' default.
            "transformer": Part("diffusers", "FluxTransformer2DModel", {"guidance_embeds": False}),
            "vae": _vae(
                latent_channels=16,
                sample_size=1024,
                scaling_factor=0.3611,
                shift_factor=0.1159,
                use_quant_conv=False,
                use_post_quant_conv=False,
            ),
            "text_encoder": _CLIP_L,
            "text_encoder_2": Part(
                "transformers",
                "T5EncoderModel",
                {
                    "vocab_size": 32128,
                    "d_model": 4096,
                    "d_kv": 64,
                    "d_ff": 10240,
                    "num_layers": 24,
                    "num_heads": 64,
                    "feed_forward_proj": "gated-gelu",
                    "tie_word_embeddings": False,
                },
            ),
            "scheduler": _scheduler("FlowMatchEulerDiscreteScheduler", shift=1.0),
        },
        dtype="bfloat16",
    ),
}
"""The models by the name behind `random:`."""


def find_random_model(model_id: str) -> RandomModel | None:
    """The architecture that a MODEL_ID asks for, None for a model with weights of its own."""
    return RANDOM_MODELS.get(model_id.removeprefix(PREFIX)) if is_random(model_id) else None


def is_random(model_id: str) -> bool:
    """Whether a MODEL_ID asks for random weights."""
    return model_id.startswith(PREFIX)


def real_id(model_id: str) -> str:
    """The model whose rules apply: the one that a random model stands for, else itself."""
    model = find_random_model(model_id)
    return model_id if model is None else model.stands_for
