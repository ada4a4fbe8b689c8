"""Image-to-video models."""

from __future__ import annotations

from pathlib import Path

import diffusers
import transformers

from tests.checkpoints.parts import HIDDEN, flow, snapshot, t5, t5_tokenizer, vision_config


def svd(repo: str, model_dir: Path) -> None:
    unet = diffusers.UNetSpatioTemporalConditionModel(
        sample_size=16,
        block_out_channels=(32, 32),
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        layers_per_block=1,
        cross_attention_dim=HIDDEN,
        num_attention_heads=4,
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=96,
        num_frames=3,
    )
    decoder = diffusers.AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        latent_channels=4,
        sample_size=32,
    )
    diffusers.StableVideoDiffusionPipeline(
        vae=decoder,
        image_encoder=transformers.CLIPVisionModelWithProjection(vision_config()),
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(
            prediction_type="v_prediction",
            timestep_type="continuous",
            sigma_min=0.002,
            sigma_max=700.0,
            use_karras_sigmas=True,
        ),
        feature_extractor=transformers.CLIPImageProcessor(crop_size=224, size=224),
    ).save_pretrained(snapshot(repo, model_dir))


def wan(repo: str, model_dir: Path) -> None:
    diffusers.WanImageToVideoPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5("UMT5"),
        vae=diffusers.AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1] * 4, num_res_blocks=1),
        scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
        image_processor=transformers.CLIPImageProcessor(crop_size=224, size=224),
        image_encoder=transformers.CLIPVisionModel(vision_config()),
        transformer=diffusers.WanTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=36,
            text_dim=HIDDEN,
            freq_dim=64,
            ffn_dim=32,
            num_layers=1,
            image_dim=HIDDEN,
            rope_max_seq_len=32,
        ),
    ).save_pretrained(snapshot(repo, model_dir))


def ltx(repo: str, model_dir: Path) -> None:
    decoder = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        layers_per_block=(1,) * 5,
        decoder_layers_per_block=(1,) * 5,
    )
    diffusers.LTXPipeline(
        scheduler=flow(use_dynamic_shifting=True, max_shift=2.05, base_shift=0.95),
        vae=decoder,
        text_encoder=t5(),
        tokenizer=t5_tokenizer(),
        transformer=diffusers.LTXVideoTransformer3DModel(
            in_channels=8,
            out_channels=8,
            num_attention_heads=4,
            attention_head_dim=8,
            cross_attention_dim=HIDDEN,
            caption_channels=HIDDEN,
            num_layers=1,
        ),
    ).save_pretrained(snapshot(repo, model_dir))
