"""What a PNG may say of its making, as text chunks."""

from __future__ import annotations

from collections.abc import Mapping

from app.engine.job import Job


def png_text(job: Job, model_id: str, seed: int) -> Mapping[str, str]:
    """Keyword and value of each text chunk; what a pipeline does not have is left out."""
    params = job.inputs.params
    values = {
        "prompt": getattr(params, "prompt", None),
        "negative_prompt": getattr(params, "negative_prompt", None),
        "seed": seed,
        "steps": job.steps,
        "guidance": getattr(params, "guidance_scale", None),
        "size": "x".join(map(str, job.inputs.size)),
        "model": model_id,
    }
    return {keyword: str(value) for keyword, value in values.items() if value not in (None, "")}
