"""Have the configured model on disk: find its parts, fetch what is missing. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.diffusion.hub import FetchFailed, ModelHub
from app.diffusion.profiles import Profile, profile_for
from app.diffusion.store import DEMO, demo_dir, find_model, find_repo, is_repo_id
from app.diffusion.weights import scan
from app.errors import ModelNotLoaded
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where the parts of a model are.

    Attributes:
        pipeline: folder with `model_index.json`.
        unet: file with the UNet's weights, where the profile names one.
        vae: folder of the VAE, where the profile names one.
    """

    pipeline: Path
    unet: Path | None = None
    vae: Path | None = None

    @property
    def replaced(self) -> frozenset[str]:
        """Components whose weights do not come from the pipeline's folder."""
        parts = {"unet": self.unet, "vae": self.vae}
        return frozenset(name for name, path in parts.items() if path is not None)


def ensure_model(settings: Settings, prefer_fp16: bool, endpoint: str | None = None) -> ModelFiles:
    """Find the configured model and what its profile needs beside it, fetching what is missing.

    The Hub is asked only if something is missing, and not under HF_HUB_OFFLINE.

    Args:
        settings: MODEL_ID, MODEL_DIR, PIPELINE and HF_TOKEN.
        prefer_fp16: which variant to fetch where a repository has both.
        endpoint: address of the Hub, None for the library's default.

    Raises:
        ModelNotLoaded: something is not on disk and cannot be fetched; one line with the remedy.
    """
    hub = ModelHub(settings.model_dir, settings.hub_token, endpoint)
    profile = profile_for(settings.model_id)
    return ModelFiles(
        pipeline=_pipeline(settings, profile, hub, prefer_fp16),
        unet=_unet(settings, profile, hub),
        vae=_vae(settings, profile, hub),
    )


def _pipeline(settings: Settings, profile: Profile, hub: ModelHub, prefer_fp16: bool) -> Path:
    folder = find_model(settings.model_id, settings.model_dir, settings.pipeline)
    lacking = "" if folder is None else _lacking(folder, profile)
    if folder is not None and not lacking:
        return folder
    repo = profile.pipeline_repo(settings.model_id)
    if settings.model_id == DEMO:
        raise ModelNotLoaded(
            f"MODEL_ID=demo: {demo_dir(settings.pipeline)} does not hold the demonstration model "
            f"for PIPELINE={settings.pipeline}: check out the source again, or set MODEL_ID to a "
            "model's id."
        )
    if folder is not None and folder != find_repo(repo, settings.model_dir):
        raise ModelNotLoaded(f"MODEL_ID={settings.model_id} is incomplete: {folder} {lacking}.")
    if not is_repo_id(repo):
        raise ModelNotLoaded(
            f"MODEL_ID={settings.model_id} is neither a folder with a model_index.json nor a "
            "model's id (organisation/name): set it to one of the two."
        )
    return _fetched(settings, repo, lambda: hub.fetch_pipeline(repo, prefer_fp16), lacking)


def _unet(settings: Settings, profile: Profile, hub: ModelHub) -> Path | None:
    if profile.unet is None:
        return None
    repo, filename = profile.unet.repo, profile.unet.filename
    folder = find_repo(repo, settings.model_dir)
    if folder is not None and (folder / filename).is_file():
        return folder / filename
    lacking = "" if folder is None else f"lacks {filename}"
    return _fetched(settings, repo, lambda: hub.fetch_file(repo, filename), lacking)


def _vae(settings: Settings, profile: Profile, hub: ModelHub) -> Path | None:
    for repo in profile.vaes:
        folder = find_repo(repo, settings.model_dir)
        if folder is not None and any(path.is_file() for path in folder.glob("*.safetensors")):
            return folder
    if not profile.vaes:
        return None
    repo = profile.vaes[0]
    return _fetched(settings, repo, lambda: hub.fetch_model(repo), "")


def _lacking(folder: Path, profile: Profile) -> str:
    """What is missing of a pipeline, as a clause; empty if nothing is."""
    replaced = {"unet": profile.unet, "vae": profile.vaes}
    missing = scan(folder, frozenset(name for name, part in replaced.items() if part)).missing
    return f"lacks files of {', '.join(sorted(missing))}" if missing else ""


def _fetched(settings: Settings, repo: str, fetch: Callable[[], Path], lacking: str) -> Path:
    """Fetch, or say in one line what is missing, why it cannot be fetched, and what helps."""
    try:
        return fetch()
    except FetchFailed as error:
        subject = "" if repo == settings.model_id else f" needs {repo}, which"
        state = (
            f"in MODEL_DIR={settings.model_dir} {lacking}"
            if lacking
            else (f"is not in MODEL_DIR={settings.model_dir}")
        )
        raise ModelNotLoaded(
            f"MODEL_ID={settings.model_id}{subject} {state} and could not be fetched ({error}): "
            f"where there is a network, run `hf download {repo} --cache-dir {settings.model_dir}` "
            "or dl_checkpoints.sh, or correct MODEL_ID or MODEL_DIR."
        ) from error
