"""Every setting of the service."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from app.diffusion.accelerators import catalogue
from app.diffusion.accelerators.catalogue import Cache, Offload, Quantize
from app.environment import EnvironmentSettings
from app.pipelines import PIPELINES
from app.pipelines.base import MAX_SIDE, MIN_SIDE

MEBIBYTE = 2**20


class SafetyCheckerMode(StrEnum):
    """What to do about images that a client wants checked."""

    REQUIRED = "required"
    AUTO = "auto"
    OFF = "off"


class LogFormat(StrEnum):
    """How a line of the log is written."""

    TEXT = "text"
    JSON = "json"


class Device(StrEnum):
    """Where the pipeline runs."""

    AUTO = "auto"
    CUDA = "cuda"
    MPS = "mps"
    CPU = "cpu"


class DoorName(StrEnum):
    """A protocol that clients may speak."""

    LIVEPEER = "livepeer"
    OPENAI = "openai"
    HUGGINGFACE = "huggingface"
    RUNPOD = "runpod"
    PAGE = "page"


class Settings(EnvironmentSettings):
    """The service's configuration."""

    remedies = MappingProxyType(
        {
            "PIPELINE": f"set it to one of {', '.join(PIPELINES)}",
            "MODEL_ID": "set it to a model's id (such as stabilityai/sd-turbo), a folder, or demo",
        }
    )

    pipeline: str = Field(description="Which pipeline to serve.")
    model_id: str = Field(
        min_length=1,
        description="The model: a Hugging Face id under MODEL_DIR, a folder, or `demo`.",
    )
    model_dir: Path = Field(
        Path("models"), description="Folder of models, in the layout of Hugging Face's cache."
    )
    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    auth_token: SecretStr | None = Field(
        None, description="Bearer token that the generating routes require; unset leaves them open."
    )
    doors: Annotated[tuple[DoorName, ...], NoDecode] = Field(
        tuple(DoorName), description="Protocols to offer, separated by commas; default all of them."
    )
    hf_token: SecretStr | None = Field(None, description="Token for gated models on the Hub.")
    version: str = Field("1.0.0", description="What /version reports: a semantic version.")
    verbose_logging: bool = Field(False, description="Log at DEBUG, the libraries' chatter too.")
    log_format: LogFormat = Field(LogFormat.TEXT, description="text or json: the log's form.")
    log_prompts: bool = Field(False, description="Write prompts into the log.")
    otel_exporter_otlp_endpoint: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Where to send OpenTelemetry traces, by OTLP over HTTP; needs "
        "requirements-otel.txt.",
    )

    device: Device = Field(
        Device.AUTO, description="Where to run: cuda, mps, cpu; auto takes the first there is."
    )
    bfloat16: bool = Field(False, description="Load the weights in bfloat16.")
    safety_checker: SafetyCheckerMode = Field(
        SafetyCheckerMode.AUTO,
        description="required: refuse to check without weights; auto: warn; off: never check.",
    )
    safety_checker_device: str = Field(
        "", description="Device of the safety checker (cuda, cuda:1, cpu, …); default the model's."
    )

    queue_limit: int = Field(
        64, ge=0, le=100_000, description="Jobs that may wait, beside those at the worker."
    )
    request_timeout: float = Field(
        600.0, gt=0, le=604_800, description="Seconds a request may take, queueing included."
    )
    step_timeout: float = Field(
        300.0,
        gt=0,
        le=86_400,
        description="Seconds without a step after which a worker is replaced.",
    )
    drain_seconds: float = Field(
        6.0, ge=0, le=3600, description="Seconds that running jobs get to finish after SIGTERM."
    )
    overload_status: int = Field(
        503, description="HTTP status of a refusal for want of room: 503, 429 or 500 (go-livepeer)."
    )

    max_pixels: int = Field(
        2048 * 2048, ge=256, description="Largest width × height of a generated image."
    )
    max_upload_pixels: int = Field(
        50_000_000,
        ge=1,
        description="Largest width × height of an uploaded image; beyond MAX_PIXELS it is scaled "
        "down.",
    )
    max_steps: int = Field(200, ge=1, description="Largest num_inference_steps.")
    max_images_per_prompt: int = Field(10, ge=1, description="Largest num_images_per_prompt.")
    max_upload_mb: float = Field(20.0, gt=0, description="Largest request body, in MiB.")
    lora_cache: int = Field(4, ge=4, le=64, description="LoRA adapters kept in memory.")
    max_batch_rows: int | None = Field(
        None,
        ge=1,
        description="Most rows in one forward (guidance doubles a request's); default as many as "
        "pay and fit into memory.",
    )

    sfast: bool = Field(False, description="Trace the model with stable-fast; UNets only.")
    sfast_warmup: bool = Field(
        False,
        description="With SFAST: trace before /health says OK on a CPU, too, whatever the model's "
        "size.",
    )
    torch_compile: bool = Field(
        False, description="Compile the denoiser's repeated blocks with torch.compile."
    )
    torch_compile_backend: str = Field(
        "inductor", min_length=1, description="torch.compile's backend."
    )
    cuda_graphs: bool = Field(False, description="Replay the denoiser's forwards as CUDA graphs.")
    compile_cache_dir: Path | None = Field(
        None, description="Folder that keeps compiled kernels, so that the next start is warm."
    )
    warmup_sizes: Annotated[tuple[tuple[int, int], ...], NoDecode] = Field(
        (),
        description="Sizes compiled for before /health says OK, such as 512x512,768x512 (width x "
        "height); default the model's own.",
    )
    deepcache: bool = Field(False, description="Reuse the UNet's deep features; UNets only.")
    deepcache_interval: int = Field(3, ge=2, le=10, description="Steps per full pass of the UNet.")
    cache: Cache | None = Field(
        None, description="first-block or taylorseer: reuse earlier steps; transformers only."
    )
    cache_threshold: float = Field(
        0.05, ge=0, le=1, description="With CACHE=first-block: relative change taken for none."
    )
    quantize: Quantize | None = Field(
        None, description="int8, fp8 or fp8-storage: the type of the denoiser's weights."
    )
    attention_backend: str = Field(
        "", description="diffusers' attention backend (flash, sage, …); transformers only."
    )
    vae_tiling: bool = Field(False, description="Decode large images in tiles.")
    vae_slicing: bool = Field(False, description="Decode the images of a batch one by one.")
    offload: Offload | None = Field(
        None, description="model, group or sequential: keep idle weights in main memory."
    )
    channels_last: bool = Field(False, description="Channels-last memory format; UNets only.")
    fuse_qkv: bool = Field(False, description="One matrix product for attention's q, k and v.")

    data_dir: Path = Field(
        Path("data"), description="Folder of asynchronous jobs and of media served by URL."
    )
    job_limit: int = Field(10_000, ge=1, description="Asynchronous jobs that may wait on disk.")
    job_attempts: int = Field(
        5, ge=1, le=100, description="How often an asynchronous job is started before it fails."
    )
    allow_private_urls: bool = Field(
        False,
        description="Let webhooks and image URLs lead to private addresses, and image URLs to "
        "plain http.",
    )
    previews: bool = Field(False, description="Show how an image comes about in its events.")
    response_urls: bool = Field(False, description="Answer with URLs in place of data URLs.")
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$",
        description="Where clients reach this service, for the URLs in answers; unset: as asked.",
    )
    media_retention: float = Field(
        24.0, gt=0, le=87_600, description="Hours that media served by URL are kept."
    )
    media_limit_mb: float = Field(
        1024.0, ge=0, description="MiB of media kept on disk; the oldest make room."
    )
    results_limit_mb: float = Field(
        1024.0,
        gt=0,
        description="MiB of asynchronous jobs' results kept; the oldest make room. Input images "
        "may take as much.",
    )
    embed_metadata: bool = Field(
        False, description="Write prompt, seed, steps and model into PNG files."
    )
    max_result_mb: float = Field(
        10.0, gt=0, description="handler.py: largest result in MiB; RunPod keeps no larger ones."
    )

    @field_validator("pipeline")
    @classmethod
    def _known_pipeline(cls, value: str) -> str:
        if value not in PIPELINES:
            raise ValueError(f"choose one of {', '.join(PIPELINES)}")
        return value

    @field_validator("doors", mode="before")
    @classmethod
    def _separated_by_commas(cls, value: object) -> object:
        return [name.strip() for name in value.split(",")] if isinstance(value, str) else value

    @field_validator("overload_status")
    @classmethod
    def _handled_status(cls, value: int) -> int:
        if value not in (503, 429, 500):
            raise ValueError("choose 503, 429 or 500")
        return value

    @field_validator("warmup_sizes", mode="before")
    @classmethod
    def _list_of_sizes(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value and not re.fullmatch(r"\d+x\d+(,\d+x\d+)*", value):
            raise ValueError("write widths and heights in pixels, as in 512x512,768x512")
        sizes = [tuple(map(int, size.split("x"))) for size in value.split(",") if size]
        if any(side % 8 or not MIN_SIDE <= side <= MAX_SIDE for size in sizes for side in size):
            raise ValueError(f"sides are multiples of 8 from {MIN_SIDE} to {MAX_SIDE}")
        return sizes

    @field_validator("auth_token", "hf_token", mode="before")
    @classmethod
    def _without_blanks(cls, value: object) -> object:
        """Tokens that were read from a file end with a line break."""
        if not isinstance(value, str):
            return value
        if not value.strip():
            raise ValueError("it is blank")
        return value.strip()

    @field_validator("version")
    @classmethod
    def _semantic_version(cls, value: str) -> str:
        if not re.fullmatch(r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?", value):
            raise ValueError("write a semantic version, as in 1.0.0 (Livepeer's nodes parse it)")
        return value

    @model_validator(mode="after")
    def _compatible_accelerators(self) -> Self:
        if reason := catalogue.contradiction(catalogue.requested(self)):
            raise ValueError(reason)
        return self

    @property
    def max_upload_bytes(self) -> int:
        """MAX_UPLOAD_MB in bytes."""
        return int(self.max_upload_mb * MEBIBYTE)

    @property
    def media_limit_bytes(self) -> int:
        """MEDIA_LIMIT_MB in bytes."""
        return int(self.media_limit_mb * MEBIBYTE)

    @property
    def hub_token(self) -> str | None:
        """HF_TOKEN in clear."""
        return None if self.hf_token is None else self.hf_token.get_secret_value()

    @property
    def results_limit_bytes(self) -> int:
        """RESULTS_LIMIT_MB in bytes."""
        return int(self.results_limit_mb * MEBIBYTE)
