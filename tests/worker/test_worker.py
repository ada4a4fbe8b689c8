"""The worker as it runs: its loop, its messages, adapters, and a process of its own."""

from __future__ import annotations

import asyncio
import errno
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from app.diffusion import safety
from app.diffusion.accelerators.active import Active
from app.diffusion.loading import load
from app.engine import channel
from app.engine.channel import Channel
from app.engine.job import JobOptions, State
from app.engine.messages import Cancel, Cancelled, Failed, Finished, Inputs, Run, Started, Step
from app.engine.service import LocalService
from app.errors import OutOfMemory
from app.pipelines import PIPELINES
from app.settings import Settings
from app.worker import limits
from app.worker.hub import Task
from app.worker.inbox import Inbox
from app.worker.loading import Parts, assemble
from app.worker.loop import BROKEN_DEVICE, WorkLoop
from app.worker.pixels import OnTheWay, fetch
from tests.checkpoints import make, snapshot
from tests.checkpoints.parts import HIDDEN, clip_text, clip_tokenizer

TIMEOUT = 300.0


class Worker:
    """A work loop on a thread of its own, and the API process's end of its channel."""

    def __init__(self, parts: Parts) -> None:
        self.channel, theirs = Channel.pair()
        self.channel._socket.settimeout(TIMEOUT)  # a worker that died says nothing
        self.parts = parts
        channel = Channel(theirs)
        inbox = Inbox(channel, hung_up=lambda: None)
        self.loop = WorkLoop(self.parts, channel, inbox)
        self.exit_code: int | None = None
        inbox.listen()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.exit_code = self.loop.run()

    def ask(self, *runs: Run) -> None:
        for run in runs:
            self.channel.send(run)

    def hear(self, jobs: int = 1) -> dict[str, list[tuple[Any, memoryview | None]]]:
        """All messages, by job, until so many jobs are over."""
        heard: dict[str, list[tuple[Any, memoryview | None]]] = {}
        while jobs:
            message, pixels = self.channel.receive()
            heard.setdefault(message.job_id, []).append((message, pixels))  # type: ignore[attr-defined]
            jobs -= isinstance(message, Finished | Failed | Cancelled)
        return heard

    def make(self, inputs: Inputs) -> np.ndarray:
        """The pixels of one job."""
        self.ask(Run("one", inputs))
        message, pixels = self.hear()["one"][-1]
        assert isinstance(message, Finished), message
        return np.frombuffer(pixels, np.uint8).reshape(message.shape)


@pytest.fixture(scope="module")
def settings(models: Path) -> Settings:
    for family in ("sd", "lora", "lora-2"):
        make(family, models)
    return Settings(pipeline="text-to-image", model_id=make("sd", models), model_dir=models)


@pytest.fixture(scope="module")
def worker(settings: Settings) -> Iterator[Worker]:
    return Worker(assemble(load(settings), settings))


def without_vae() -> Any:
    """aMUSEd: its latents are words of a code book, and its decoder is no `vae`."""
    codes = diffusers.VQModel(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=8,
        num_vq_embeddings=32,
        norm_num_groups=4,
        lookup_from_codebook=True,
    )
    transformer = diffusers.UVit2DModel(
        hidden_size=HIDDEN,
        cond_embed_dim=HIDDEN,
        micro_cond_encode_dim=2,
        micro_cond_embed_dim=10,
        encoder_hidden_size=HIDDEN,
        vocab_size=33,
        codebook_size=32,
        in_channels=8,
        block_out_channels=8,
        num_res_blocks=1,
        block_num_heads=1,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=HIDDEN,
        sample_size=16,
    )
    pipe = diffusers.AmusedPipeline(
        vqvae=codes,
        tokenizer=clip_tokenizer(),
        text_encoder=clip_text(projection=True),
        transformer=transformer,
        scheduler=diffusers.AmusedScheduler(mask_token_id=32),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def inputs(seed: int = 0, steps: int = 2, **changes: Any) -> Inputs:
    loras = changes.pop("loras", ())
    seeds = changes.pop("seeds", (seed,))
    params = PIPELINES["text-to-image"].params.model_validate(
        {
            "prompt": f"prompt {seed}",
            "num_inference_steps": steps,
            "num_images_per_prompt": len(seeds),
            "width": 16,
            "height": 16,
            **changes,
        }
    )
    return Inputs("text-to-image", params, seeds, loras)


def near(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether images are equal but for rounding to whole levels."""
    return int(np.abs(one.astype(int) - other.astype(int)).max()) <= 1


def test_a_job_is_followed_from_start_to_end(worker: Worker) -> None:
    worker.ask(Run("job", inputs(steps=3)))
    messages = [message for message, _ in worker.hear()["job"]]
    assert messages[:-1] == [Started("job"), *(Step("job", step, 3) for step in (1, 2, 3))]
    finished = messages[-1]
    assert isinstance(finished, Finished)
    assert finished.shape == (1, 16, 16, 3)
    assert finished.rows == 1.0
    assert finished.usage.forwards >= 3
    assert finished.usage.busy_seconds > 0


def test_jobs_in_company_get_their_own_images(worker: Worker) -> None:
    wanted = [inputs(seed, steps=2 + seed) for seed in range(4)]
    alone = [worker.make(it) for it in wanted]
    worker.ask(*(Run(str(seed), it) for seed, it in enumerate(wanted)))
    heard = worker.hear(jobs=4)
    for seed, expected in enumerate(alone):
        message, pixels = heard[str(seed)][-1]
        assert near(np.frombuffer(pixels, np.uint8).reshape(message.shape), expected)
    assert max(heard[str(seed)][-1][0].rows for seed in range(4)) > 1


def test_images_of_one_job_have_their_own_seeds(worker: Worker) -> None:
    several = worker.make(inputs(7, seeds=(7, 8)))
    assert near(several[0], worker.make(inputs(7))[0])
    assert near(several[1], worker.make(inputs(7, seeds=(8,)))[0])


def test_adapters_mix(worker: Worker) -> None:
    sets = [(), (("fabricated/lora", 1.0),), (("fabricated/lora-2", 0.7),), ()]
    wanted = [inputs(1, steps=3, loras=loras) for loras in sets]
    alone = [worker.make(it) for it in wanted]
    assert not np.array_equal(alone[0], alone[1])
    assert not np.array_equal(alone[1], alone[2])
    worker.ask(*(Run(str(place), it) for place, it in enumerate(wanted)))
    heard = worker.hear(jobs=4)
    for place, expected in enumerate(alone):
        message, pixels = heard[str(place)][-1]
        assert near(np.frombuffer(pixels, np.uint8).reshape(message.shape), expected)


def test_parts_of_a_prompt_that_the_model_has_no_use_for_are_told(worker: Worker) -> None:
    worker.ask(Run("one", inputs(prompt="a | b", negative_prompt="c | d")), Run("other", inputs()))
    heard = worker.hear(jobs=2)
    (warning,) = heard["one"][-1][0].warnings
    assert warning.startswith("the loaded model takes no negative_prompt_2, prompt_2:")
    assert heard["other"][-1][0].warnings == ()


def test_a_cancelled_job_says_so(worker: Worker) -> None:
    worker.ask(Run("long", inputs(steps=200)))
    worker.channel.send(Cancel("long"))
    assert isinstance(worker.hear()["long"][-1][0], Cancelled)
    assert worker.make(inputs()).shape == (1, 16, 16, 3)


def test_a_job_that_has_not_begun_is_cancelled_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "USEFUL_ON_CPU", 1)  # two requests fill the hub
    worker = Worker(assemble(load(settings), settings))
    worker.ask(Run("long", inputs(0, 100)), Run("longer", inputs(1, 200)), Run("waiting", inputs()))
    while not isinstance(worker.channel.receive()[0], Step):
        pass
    worker.channel.send(Cancel("waiting"))
    heard = worker.hear()
    assert isinstance(heard["waiting"][-1][0], Cancelled)


def test_of_jobs_that_are_over_nothing_is_kept_for_their_cancel(worker: Worker) -> None:
    for job in "abc":
        worker.ask(Run(job, inputs()))
        worker.hear()
        worker.channel.send(Cancel(job))
    worker.make(inputs())  # which may be on its way out yet
    assert not {*worker.loop._inbox._known} & {*"abc"}


def test_a_preview_comes_with_every_second_step(worker: Worker) -> None:
    worker.make(inputs(seeds=(1, 2, 3)))  # what previews are learnt from
    plain = worker.make(inputs(3, steps=4))
    worker.ask(Run("job", inputs(3, steps=4), preview_every=2))
    messages = worker.hear()["job"]
    shapes = [it.preview_shape for it, _ in messages if isinstance(it, Step)]
    assert shapes == [None, (8, 8, 3), None, (8, 8, 3)]
    assert [len(pixels) for it, pixels in messages if isinstance(it, Step) and pixels] == [192] * 2
    assert np.array_equal(np.frombuffer(messages[-1][1], np.uint8), plain.ravel())


def preview_shapes(worker: Worker) -> list[Any]:
    """Of a job's steps."""
    worker.ask(Run("job", inputs(3, steps=2), preview_every=1))
    heard = worker.hear()["job"]
    assert isinstance(heard[-1][0], Finished)
    return [it.preview_shape for it, _ in heard if isinstance(it, Step)]


def test_of_a_batch_made_in_halves_nothing_is_learnt(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose latents are known last, nobody knows, and wrong pairs would make wrong colours."""
    worker = Worker(assemble(load(settings), settings))
    encoder = worker.parts.loaded.pipe.text_encoder

    def full(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(encoder, "forward", full)
    assert len(worker.make(inputs(seeds=tuple(range(8))))) == 8
    assert preview_shapes(worker) == [None, None]


@pytest.mark.parametrize("failing", ["app.worker.loop.fetch", "app.worker.reporting.estimate"])
def test_previews_that_fail_take_nothing_with_them(
    settings: Settings,
    failing: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(*args: Any) -> Any:
        if getattr(args[0], "dtype", None) == torch.uint8:  # the job's images themselves
            return fetch(*args)
        raise RuntimeError("CUDA error: out of memory")

    worker = Worker(assemble(load(settings), settings))
    worker.make(inputs(seeds=(1, 2, 3)))  # what previews are learnt from
    assert preview_shapes(worker) == [(8, 8, 3)] * 2
    monkeypatch.setattr(failing, fails)
    worker.ask(*(Run(str(seed), inputs(seed, steps=3), preview_every=1) for seed in range(3)))
    heard = worker.hear(jobs=3)
    assert all(isinstance(messages[-1][0], Finished) for messages in heard.values())
    assert caplog.text.count("jobs go on without") == 1


def test_a_model_without_a_vae_has_no_previews(settings: Settings) -> None:
    pipe = without_vae()
    loaded = replace(load(settings), pipe=pipe)
    worker = Worker(assemble(loaded, settings))
    for seed in range(4):  # more than previews are learnt from
        worker.ask(Run("job", inputs(seed, steps=3), preview_every=1))
        messages = [message for message, _ in worker.hear()["job"]]
        assert messages[:-1] == [Started("job"), *(Step("job", step, 3) for step in (1, 2, 3))]
        assert isinstance(messages[-1], Finished)


def test_the_checker_is_shown_finished_pixels_only(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It works beside what makes them, so that nothing else puts it behind."""
    order: list[str] = []
    wait = OnTheWay.wait

    def waiting(way: OnTheWay) -> torch.Tensor:
        order.append("there")
        return wait(way)

    def checking(*_: Any) -> Any:
        order.append("checked")
        return (False,), ()

    monkeypatch.setattr(OnTheWay, "wait", waiting)
    monkeypatch.setattr("app.worker.loop.check", checking)
    worker.make(inputs())
    assert order[:2] == ["there", "checked"]


def test_images_that_cannot_be_sent_fail_their_job(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(pixels: memoryview) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(channel, "_shared_copy", no_more)
    worker.ask(Run("job", inputs()))
    assert isinstance(worker.hear()["job"][-1][0], Failed)
    monkeypatch.undo()
    assert worker.make(inputs()).shape == (1, 16, 16, 3)


def test_what_does_not_fit_fails_with_a_clear_error(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(worker.parts.loaded.pipe.unet, "forward", full)
    worker.ask(Run("job", inputs(seeds=(1, 2))))
    failed = worker.hear()["job"][-1][0]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, OutOfMemory)


def test_the_log_names_the_layer_that_failed(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def first_convolution(_: torch.Tensor) -> torch.Tensor:
        raise ValueError("shapes do not match")

    monkeypatch.setattr(worker.parts.loaded.pipe.unet.conv_in, "forward", first_convolution)
    worker.ask(Run("job", inputs()))
    assert isinstance(worker.hear()["job"][-1][0], Failed)
    assert "in first_convolution" in caplog.text


def test_with_state_between_steps_requests_take_turns(settings: Settings) -> None:
    resets: list[int] = []
    active = Active(keeps_state=True, resets=(lambda: resets.append(1),))
    parts = assemble(replace(load(settings), active=active), settings)
    order: list[int] = []

    def body(seed: int, _: Task) -> None:
        parts.generator.generate(inputs(seed), None, lambda done: order.append(seed))

    with torch.no_grad():
        for seed in range(2):
            parts.hub.add(Task(partial(body, seed), (), lambda: False))
        while len(parts.hub):
            parts.hub.turn()
    assert order == [0, 0, 1, 1]
    assert len(resets) == 2
    assert not parts.limits.policy.merge


def test_a_broken_device_ends_the_loop(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(assemble(load(settings), settings))

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(worker.parts.loaded.pipe.unet, "forward", broken)
    worker.ask(Run("job", inputs()))
    worker.thread.join(TIMEOUT)
    assert worker.exit_code == BROKEN_DEVICE


def test_a_device_that_breaks_under_a_preview_ends_the_loop(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(assemble(load(settings), settings))

    def broken(*_: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr("app.worker.reporting.estimate", broken)
    worker.ask(Run("job", inputs(), preview_every=1))
    worker.thread.join(TIMEOUT)
    assert worker.exit_code == BROKEN_DEVICE


def test_a_checker_in_half_precision_is_there_before_the_first_job(
    settings: Settings, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safety, "is_gpu", lambda _: True)
    folder = tmp_path / "checker"
    shutil.copytree(snapshot(make("safety-checker", models), models), folder)
    checker = safety.SafetyChecker(folder, torch.device("cpu"))
    worker = Worker(replace(assemble(load(settings), settings), safety=checker))
    worker.loop.warm_up("text-to-image", [])
    shutil.rmtree(folder)
    worker.ask(Run("job", replace(inputs(), check_safety=True)))
    finished = worker.hear()["job"][-1][0]
    assert isinstance(finished, Finished), finished
    assert len(finished.nsfw) == 1


def test_a_real_process_serves_many_jobs_at_a_time(settings: Settings) -> None:
    async def serve() -> list[Any]:
        service = LocalService(settings)
        await service.start(lambda: None)
        jobs = [service.submit(inputs(seed), None, JobOptions("test")) for seed in range(3)]
        try:
            async with asyncio.timeout(TIMEOUT):
                generations = [await job.result() for job in jobs]
        finally:
            await service.stop()
        assert all(job.state is State.SUCCEEDED for job in jobs)
        return generations

    generations = asyncio.run(serve())
    assert [it.samples[0].pixels.shape for it in generations] == [(16, 16, 3)] * 3
