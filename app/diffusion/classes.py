"""Which of diffusers' pipeline classes does the configured task with a given model."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Mapping
from typing import Any

import diffusers

from app.errors import ModelNotLoaded

_IMAGE_TO_VIDEO = {
    # A text-to-video index whose weights also serve the image-to-video class.
    "LTXPipeline": "LTXImageToVideoPipeline",
    "LTXConditionPipeline": "LTXImageToVideoPipeline",
    "LTX2Pipeline": "LTX2ImageToVideoPipeline",
}

_GIVEN = {"self", "prompt", "image"}
"""Parameters without a default that are always given; a decoder asks for its prior's output."""


def pipeline_class(task: str, index: Mapping[str, object], model_id: str) -> Any:
    """The pipeline class that does `task` with the model of this `model_index.json`.

    Args:
        task: `text-to-image`, `image-to-image` or `image-to-video`.
        index: the contents of `model_index.json`.
        model_id: for the message.

    Raises:
        ModelNotLoaded: diffusers has no such class, or the model does not do this task.
    """
    named = str(index["_class_name"])
    own = getattr(diffusers, named, None)
    if own is None:
        raise ModelNotLoaded(
            f"MODEL_ID={model_id} needs the pipeline class {named}, which diffusers "
            f"{diffusers.__version__} does not have: choose another model or upgrade diffusers."
        )
    found = _class_for(task, own, index)
    if found is not None:
        _refuse_without_ftfy(found, model_id)
        return found
    raise ModelNotLoaded(
        f"PIPELINE={task} does not fit MODEL_ID={model_id}, whose pipeline is {named}: "
        "change one of the two."
    )


def _class_for(task: str, own: Any, index: Mapping[str, object]) -> Any:
    """The named class itself, or the one of its family that does the task, or None."""
    does = _does(task, own)
    if does and task == "text-to-image":  # sure without a look at every family
        return own
    return _sibling(task, index) or (own if does else None)


def _sibling(task: str, index: Mapping[str, object]) -> Any:
    """The class of the same family for the task, where diffusers knows one."""
    named = str(index["_class_name"])
    if "Inpaint" in named:
        return None
    if task == "image-to-video":
        if named == "WanPipeline" and index.get("expand_timesteps"):
            return diffusers.WanImageToVideoPipeline
        return getattr(diffusers, _IMAGE_TO_VIDEO.get(named, ""), None)
    # Imported here: it brings in every pipeline of diffusers, which takes a second.
    from diffusers.pipelines import auto_pipeline

    by_task = {
        "text-to-image": auto_pipeline.AUTO_TEXT2IMAGE_PIPELINES_MAPPING,
        "image-to-image": auto_pipeline.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING,
    }
    families = {
        pipeline.__name__: family
        for mapping in reversed(auto_pipeline.SUPPORTED_TASKS_MAPPINGS)
        for family, pipeline in mapping.items()
    }
    return by_task[task].get(families.get(named, ""))


def _does(task: str, pipeline: Any) -> bool:
    """Whether the call's arguments are those of the task."""
    parameters = parameters_of(pipeline)
    required = {name for name, it in parameters.items() if it.default is it.empty}
    if "mask_image" in parameters or "video" in parameters or not required <= _GIVEN:
        return False
    takes_image, is_video = "image" in parameters, "num_frames" in parameters
    if task == "text-to-image":
        return "prompt" in parameters and not takes_image and not is_video
    return takes_image and is_video == (task == "image-to-video")


def _refuse_without_ftfy(pipeline: Any, model_id: str) -> None:
    """Some classes (Wan's) clean every prompt with ftfy, and fail in mid-call without it."""
    module = sys.modules[pipeline.__module__]
    needs_ftfy = hasattr(module, "is_ftfy_available") and "clean_caption" not in parameters_of(
        pipeline
    )
    if needs_ftfy and importlib.util.find_spec("ftfy") is None:
        raise ModelNotLoaded(
            f"MODEL_ID={model_id} needs the package ftfy ({pipeline.__name__} cleans prompts "
            "with it): pip install ftfy"
        )


def parameters_of(pipeline: Any) -> dict[str, inspect.Parameter]:
    """The call's named parameters."""
    signature = inspect.signature(pipeline.__call__)
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind not in variadic
    }
