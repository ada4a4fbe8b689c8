"""Where models are on disk: Hugging Face's cache layout under MODEL_DIR. Needs no torch."""

from __future__ import annotations

import re
from pathlib import Path

from app.diffusion.profiles import profile_for
from app.diffusion.weights import INDEX, SAFETY_CHECKER
from app.errors import LoraInvalid

DEMO = "demo"
"""MODEL_ID of the model that comes with the source."""

DEMO_DIR = Path(__file__).resolve().parents[2] / "demo"
"""Folder of the demonstration models, one folder for images and one for videos."""

SAFETY_CHECKER_REPO = "CompVis/stable-diffusion-safety-checker"
_STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"

_REPO_ID = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[0-9a-f]{40}", re.ASCII)
_LORA_FILE = "pytorch_lora_weights.safetensors"


def is_repo_id(text: str) -> bool:
    """Whether this is a repository's id, `name` or `organisation/name`, safe to make a path of.

    The Hub allows neither `..` nor `--` in one; `--` stands for the slash in the cache.
    """
    return _REPO_ID.fullmatch(text) is not None and ".." not in text and "--" not in text


def find_repo(repo: str, model_dir: Path) -> Path | None:
    """The folder of a repository's files (a snapshot of its main branch), None where absent.

    Args:
        repo: `organisation/name`; anything else is not found.
        model_dir: MODEL_DIR; both it and its `hub` folder are searched.
    """
    if not is_repo_id(repo):
        return None
    folder = "models--" + repo.replace("/", "--")
    for root in (model_dir, model_dir / "hub"):
        snapshot = _snapshot(root / folder)
        if snapshot is not None:
            return snapshot
    return None


def _snapshot(cached: Path) -> Path | None:
    """The snapshot that `refs/main` of a cached repository names."""
    try:
        revision = (cached / "refs" / "main").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    if _REVISION.fullmatch(revision) is None:
        return None
    snapshot = cached / "snapshots" / revision
    return snapshot.resolve() if snapshot.is_dir() else None


def demo_dir(pipeline: str) -> Path:
    """The folder of the demonstration model for a pipeline, whether or not it exists."""
    return DEMO_DIR / ("video" if pipeline.endswith("to-video") else "image")


def find_model(model_id: str, model_dir: Path, pipeline: str) -> Path | None:
    """The folder with a model's `model_index.json`, None where there is none.

    Args:
        model_id: a repository's id, the path of a folder, `demo`, or an id whose profile names
            another repository as its base.
        model_dir: MODEL_DIR.
        pipeline: name of the pipeline, which decides between the demonstration models.
    """
    if model_id == DEMO:
        folder = demo_dir(pipeline)
        return folder if (folder / INDEX).is_file() else None
    repo = profile_for(model_id).pipeline_repo(model_id)
    for candidate in (Path(model_id).expanduser(), find_repo(repo, model_dir)):
        if candidate is not None and (candidate / INDEX).is_file():
            return candidate.resolve()
    return None


def find_lora(repo: str, model_dir: Path) -> Path | None:
    """The safetensors file of a LoRA adapter, None where the repository is not on disk.

    Args:
        repo: `organisation/name`, as a client sent it: whatever it is, no path outside of
            MODEL_DIR's cache is looked at.
        model_dir: MODEL_DIR.

    Raises:
        LoraInvalid: the repository holds no safetensors file, or several and none of the
            usual name.
    """
    folder = find_repo(repo, model_dir) if "/" in repo else None
    if folder is None:
        return None
    files = {path.name: path for path in sorted(folder.glob("*.safetensors")) if path.is_file()}
    if _LORA_FILE in files:
        return files[_LORA_FILE]
    if len(files) == 1:
        return next(iter(files.values()))
    if not files:
        raise LoraInvalid(f"LoRA {repo} holds no safetensors file.")
    raise LoraInvalid(
        f"LoRA {repo} holds several files ({', '.join(files)}) and no {_LORA_FILE}: this server "
        "cannot tell which is meant."
    )


def safety_checker_path(model_dir: Path, model: Path | None = None) -> Path | None:
    """The folder of the safety checker, None where it is not on disk.

    It is looked for in its own repository, beside the loaded model, and in Stable Diffusion
    1.5, which comes with the same weights.

    Args:
        model_dir: MODEL_DIR.
        model: the loaded model's folder.
    """
    stable_diffusion = find_repo(_STABLE_DIFFUSION, model_dir)
    candidates = [
        find_repo(SAFETY_CHECKER_REPO, model_dir),
        *(it / SAFETY_CHECKER for it in (model, stable_diffusion) if it is not None),
    ]
    for folder in candidates:
        if folder is not None and _is_loadable(folder):
            return folder
    return None


def _is_loadable(folder: Path) -> bool:
    """Whether a folder holds one model's configuration and safetensors weights."""
    has_weights = any(path.is_file() for path in folder.glob("*.safetensors"))
    return has_weights and (folder / "config.json").is_file()
