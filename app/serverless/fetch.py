"""`python -m app.serverless.fetch`: put the configured model into MODEL_DIR."""

from __future__ import annotations

import logging
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from app.diffusion.ensure import ensure_model
from app.diffusion.hub import FetchFailed, ModelHub
from app.diffusion.store import SAFETY_CHECKER_REPO, safety_checker_path
from app.environment import SettingsError, exit_on
from app.errors import ModelNotLoaded
from app.log import configure_logging
from app.settings import SafetyCheckerMode, Settings
from app.wording import first_line

logger = logging.getLogger(__name__)


def fetch(settings: Settings, revision: str = "", endpoint: str | None = None) -> None:
    """Have the model, all that goes with it and the safety checker in MODEL_DIR.

    Args:
        settings: MODEL_ID, MODEL_DIR, PIPELINE, HF_TOKEN and SAFETY_CHECKER.
        revision: branch, tag or commit of the model that is to be served; "" for the main branch.
        endpoint: address of the Hub, None for the library's default.

    Raises:
        ModelNotLoaded: the model cannot be fetched; one line with the remedy.
    """
    if revision:
        _fetch_revision(settings, revision, endpoint)
    files = ensure_model(settings, prefer_fp16=True, endpoint=endpoint)
    logger.info("%s is in %s", settings.model_id, files.pipeline)
    wants_checker = settings.safety_checker is not SafetyCheckerMode.OFF
    if wants_checker and safety_checker_path(settings.model_dir, files.pipeline) is None:
        _fetch_checker(settings, endpoint)


def _fetch_revision(settings: Settings, revision: str, endpoint: str | None) -> None:
    """Put one revision of the model's repository where its main branch is looked for."""
    try:
        folder = snapshot_download(
            settings.model_id,
            revision=revision,
            cache_dir=settings.model_dir,
            allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"],
            token=settings.hub_token,
            endpoint=endpoint,
        )
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = first_line(error)
        raise ModelNotLoaded(f"{settings.model_id} at {revision}: {reason}") from error
    refs = Path(folder).parents[1] / "refs"
    refs.mkdir(exist_ok=True)
    (refs / "main").write_text(Path(folder).name)


def _fetch_checker(settings: Settings, endpoint: str | None) -> None:
    """The checker is optional: without it images are flagged as unchecked."""
    try:
        ModelHub(settings.model_dir, settings.hub_token, endpoint).fetch_model(SAFETY_CHECKER_REPO)
    except FetchFailed as error:
        if settings.safety_checker is SafetyCheckerMode.REQUIRED:
            raise ModelNotLoaded(f"SAFETY_CHECKER=required: {error}.") from error
        logger.warning("no safety checker: %s", error)


def main() -> None:
    """Fetch what the environment names; one line and a failing exit code if that cannot be done."""
    with exit_on(SettingsError, ModelNotLoaded):
        settings = Settings.from_environment()
        configure_logging(settings)
        fetch(settings)


if __name__ == "__main__":
    main()
