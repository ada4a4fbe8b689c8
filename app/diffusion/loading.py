"""Load the configured model: from MODEL_ID on disk to a pipeline that is ready to be called."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from app.diffusion.accelerators.active import Active
from app.diffusion.accelerators.apply import apply
from app.diffusion.arguments import prepare
from app.diffusion.classes import pipeline_class
from app.diffusion.components import load_unet, load_vae, replace_scheduler
from app.diffusion.devices import choose_device, choose_dtype, is_gpu
from app.diffusion.ensure import ModelFiles, ensure_model
from app.diffusion.profiles import Profile, profile_for
from app.diffusion.random_models import is_random
from app.diffusion.random_pipeline import build_random, random_model
from app.diffusion.weights import SAFETY_CHECKER, Weights, read_index, scan, stored_dtype
from app.errors import ModelNotLoaded
from app.pipelines.base import Arguments
from app.settings import Settings
from app.wording import on_one_line

_STORED_DENOISERS = ("transformer", "unet", "prior")
"""Folders of a repository, the one whose weights' type counts first."""


@dataclass(frozen=True, slots=True)
class LoadedPipeline:
    """A model in memory.

    Attributes:
        pipe: the diffusers pipeline, on its device, in evaluation mode.
        device: where it runs.
        dtype: type of the denoiser's weights.
        profile: the model's rules.
        folder: the files it came from.
        active: its accelerators, already at work.
    """

    pipe: Any
    device: torch.device
    dtype: torch.dtype
    profile: Profile
    folder: Path
    active: Active

    def prepare(
        self, arguments: Arguments, image_size: tuple[int, int] | None = None
    ) -> tuple[Arguments, frozenset[str]]:
        """Turn a pipeline file's arguments into those that this model is called with.

        The model's rules are applied, and what the pipeline does not take is left out; see
        `app.diffusion.arguments`.

        Args:
            arguments: from `Pipeline.arguments`.
            image_size: (width, height) of the input image, None without one.

        Returns:
            The call's arguments, and the names of those left out.

        Raises:
            SizeInvalid: the model cannot make this size.
        """
        return prepare(self.pipe, self.profile, arguments, image_size)


def load(settings: Settings) -> LoadedPipeline:
    """Load the model that PIPELINE and MODEL_ID name, downloading it if it is not on disk.

    Raises:
        ModelNotLoaded: one line that says what is wrong and what to do about it.
    """
    device = choose_device(settings.device)
    if device.type == "cuda":
        # TF32, for weights that are in single precision: as convolutions are computed anyway.
        torch.set_float32_matmul_precision("high")
    profile = profile_for(settings.model_id)
    read = _from_nothing if is_random(settings.model_id) else _from_disk
    try:
        pipe, dtype, folder = read(settings, profile, device)
        active = apply(pipe, settings, device)
    except torch.OutOfMemoryError as error:
        raise ModelNotLoaded(
            f"MODEL_ID={settings.model_id} does not fit into the memory of {device}: choose a "
            "smaller model or a larger device, or set QUANTIZE=int8 or OFFLOAD=group."
        ) from error
    pipe.set_progress_bar_config(disable=True)
    return LoadedPipeline(pipe, device, dtype, profile, folder, active)


def _from_disk(
    settings: Settings, profile: Profile, device: torch.device
) -> tuple[Any, torch.dtype, Path]:
    """The pipeline in main memory, the type of its weights and the folder they are from."""
    files = ensure_model(settings, prefer_fp16=is_gpu(device))
    index = read_index(files.pipeline)
    wanted = pipeline_class(settings.pipeline, index, settings.model_id)
    weights = scan(files.pipeline, files.replaced)
    _refuse_pickles(weights, files.pipeline, settings)
    dtype = choose_dtype(
        device, settings.bfloat16, profile.gpu_dtype, weights, _stored_dtype(files.pipeline)
    )
    try:
        pipe = _build(wanted, files, weights.variant(is_gpu(device)), dtype)
        if profile.scheduler is not None:
            replace_scheduler(pipe, profile.scheduler)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the libraries raise whatever a damaged file leads them to
        reason = on_one_line(error)
        raise ModelNotLoaded(
            f"MODEL_ID={settings.model_id} could not be loaded from {files.pipeline} "
            f"({type(error).__name__}: {reason}): download it again into {settings.model_dir}."
        ) from error
    return pipe, dtype, files.pipeline


def _from_nothing(
    settings: Settings, _profile: Profile, device: torch.device
) -> tuple[Any, torch.dtype, Path]:
    """The same for a model with random weights, which is on no disk."""
    model = random_model(settings.model_id)
    dtype = torch.float32
    if settings.bfloat16:
        dtype = torch.bfloat16
    elif is_gpu(device):
        dtype = getattr(torch, model.dtype)
    place = torch.device("cpu") if settings.offload else device
    return build_random(settings, place, dtype), dtype, settings.model_dir


def _build(wanted: Any, files: ModelFiles, variant: str | None, dtype: torch.dtype) -> Any:
    """The pipeline in main memory, with the profile's own components in their places."""
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    components: dict[str, Any] = {}
    parameters = inspect.signature(wanted.__init__).parameters
    if SAFETY_CHECKER in parameters:
        components[SAFETY_CHECKER] = None
    if "requires_safety_checker" in parameters:
        components["requires_safety_checker"] = False
    if files.unet is not None:
        components["unet"] = load_unet(files.pipeline, files.unet, dtype)
    if files.vae is not None:
        components["vae"] = load_vae(files.vae, dtype)
    return wanted.from_pretrained(
        files.pipeline,
        dtype=dtype,
        variant=variant,
        use_safetensors=True,
        local_files_only=True,
        **components,
    )


def _refuse_pickles(weights: Weights, folder: Path, settings: Settings) -> None:
    if weights.pickled:
        raise ModelNotLoaded(
            f"MODEL_ID={settings.model_id} has only pickled weights for "
            f"{', '.join(sorted(weights.pickled))} in {folder}; loading them could run foreign "
            "code: use a model with safetensors files."
        )


def _stored_dtype(folder: Path) -> str | None:
    """Type in which the denoiser's weights are stored, as safetensors calls it."""
    for name in _STORED_DENOISERS:
        for path in sorted((folder / name).glob("*.safetensors")):
            return stored_dtype(path)
    return None
