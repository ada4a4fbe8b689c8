"""Checks the video model: how far things move, against how far they were asked to.

``python -m training.check_video --model demo/video``

The answer is read off by finding the rendered phase whose sky is nearest to the last frame.
"""

import argparse
import random
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import StableVideoDiffusionPipeline
from PIL import Image

from training.landscapes import render
from training.measure import Picture
from training.motion import frame_phases, render_phases
from training.scene import Scene, sample_held_out_scene

SKY_SHARE = 0.4


def load_video_pipeline(folder: Path) -> StableVideoDiffusionPipeline:
    """Load the model in single precision for the processor."""
    pipeline = StableVideoDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def animate(
    pipeline: StableVideoDiffusionPipeline, picture: Picture, bucket: int, fps: int, steps: int,
    seed: int = 1,
) -> list[Picture]:  # fmt: skip
    """Set one picture in motion."""
    result = pipeline(
        Image.fromarray(picture),
        height=picture.shape[0],
        width=picture.shape[1],
        num_inference_steps=steps,
        motion_bucket_id=bucket,
        fps=fps,
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
    )
    return [np.asarray((frame * 255).round(), dtype=np.uint8) for frame in result.frames[0]]


def nearest_phase(frame: Picture, scene: Scene, seed: int) -> int:
    """Return the rendered phase whose sky is nearest to the frame's."""
    sky = slice(0, round(SKY_SHARE * frame.shape[0]))
    phases = render_phases(scene, seed)[:, sky].astype(int)
    misses = np.abs(phases - frame[sky].astype(int)).mean((1, 2, 3))
    return int(misses.argmin())


def main() -> None:
    """Print asked and seen motion."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("demo/video"))
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    pipeline = load_video_pipeline(options.model)
    rng = random.Random(12)
    scenes = [replace(sample_held_out_scene(rng), clouds=True) for _ in range(options.scenes)]
    print("| bucket | fps | asked phases | seen phases | miss of the first frame |")
    print("|---:|---:|---:|---:|---:|")
    start, videos = time.monotonic(), 0
    for bucket, fps in ((20, 7), (127, 7), (250, 7), (250, 14)):
        seen, misses = [], []
        for seed, scene in enumerate(scenes):
            picture = render(scene, seed)
            frames = animate(pipeline, picture, bucket, fps, options.steps)
            seen.append(nearest_phase(frames[-1], scene, seed))
            misses.append(np.abs(frames[0].astype(int) - picture).mean())
            videos += 1
        asked = frame_phases(bucket, fps)[-1]
        print(f"| {bucket} | {fps} | {asked} | {np.mean(seen):.1f} | {np.mean(misses):.1f} |")
    print(f"\n{options.steps} steps, {(time.monotonic() - start) / videos:.1f} s a video")


if __name__ == "__main__":
    main()
