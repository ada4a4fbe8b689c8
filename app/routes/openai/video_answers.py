"""Asynchronous jobs as OpenAI's videos."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from app.engine.job import Progress
from app.engine.runner import Runner
from app.errors import JobNotFound
from app.jobs.durable import DurableJob, JobState
from app.jobs.queue import JobQueue
from app.media.mp4_read import duration
from app.routes.openai.video_schemas import Video, VideoError, VideoOptions, VideoStatus

POLL_LEAST, POLL_MOST = 200, 5000
"""Milliseconds after which a client is told to ask again."""
POLL_WAITING = 1000
"""The same while nothing is known of the job's speed."""
MAX_DURATIONS = 1000
"""Videos whose duration is remembered."""

_STATUSES = {
    JobState.IN_QUEUE: VideoStatus.QUEUED,
    JobState.IN_PROGRESS: VideoStatus.IN_PROGRESS,
    JobState.COMPLETED: VideoStatus.COMPLETED,
}
_ERRORS = {
    JobState.FAILED: "generation_failed",
    JobState.TIMED_OUT: "timed_out",
    JobState.CANCELLED: "cancelled",
}


class VideoAnswers:
    """Turns the jobs of one door into videos."""

    def __init__(self, door: str) -> None:
        self._door = door
        self._durations: dict[str, float] = {}

    async def job(self, queue: JobQueue, video_id: str) -> DurableJob:
        """The job of a video.

        Raises:
            JobNotFound: there is none, or it came through another door.
        """
        job = await queue.get(video_id)
        if job.door != self._door:
            raise JobNotFound(video_id)
        return job

    async def jobs(self, queue: JobQueue) -> Sequence[DurableJob]:
        """The jobs of all videos, the newest first."""
        return await queue.of_door(self._door)

    async def video(self, runner: Runner, queue: JobQueue, job: DurableJob) -> Video:
        """A job in OpenAI's words."""
        options = VideoOptions.model_validate_json(job.params)
        params = runner.pipeline.params.model_validate_json(job.params)
        is_completed = job.state is JobState.COMPLETED
        return Video(
            id=job.id,
            model=runner.settings.model_id,
            status=_STATUSES.get(job.state, VideoStatus.FAILED),
            progress=100 if is_completed else percent(queue.progress(job.id)),
            created_at=int(job.created),
            completed_at=int(job.finished) if is_completed and job.finished else None,
            expires_at=int(job.expires),
            seconds=f"{await self._seconds(queue, job.id):g}" if is_completed else "0",
            size=f"{getattr(params, 'width', 0)}x{getattr(params, 'height', 0)}",
            prompt=options.prompt or None,
            error=_error(job),
        )

    async def _seconds(self, queue: JobQueue, video_id: str) -> float:
        """How long a completed video plays."""
        if video_id not in self._durations:
            [file, *_] = await queue.files(video_id)
            self._durations[video_id] = round(await asyncio.to_thread(duration, file.data), 3)
            if len(self._durations) > MAX_DURATIONS:
                del self._durations[next(iter(self._durations))]
        return self._durations[video_id]


def percent(progress: Progress | None) -> int:
    """How far a job is that is not over."""
    if progress is None or not progress.steps:
        return 0
    return min(99, 100 * progress.step // progress.steps)


def poll_after(job: DurableJob, progress: Progress | None, now: float) -> int:
    """Milliseconds until a client should ask again: what the steps so far say of the rest.

    Args:
        job: not over.
        progress: of the job, once it runs.
        now: seconds since 1970.
    """
    if job.started is None or progress is None or not progress.step:
        return POLL_WAITING
    step_time = (now - job.started) / progress.step
    rest = 1000 * step_time * (progress.steps - progress.step)
    return round(min(max(rest, POLL_LEAST), POLL_MOST))


def _error(job: DurableJob) -> VideoError | None:
    code = _ERRORS.get(job.state)
    if code is None:
        return None
    return VideoError(code=code, message=job.error or "The job was cancelled.")
