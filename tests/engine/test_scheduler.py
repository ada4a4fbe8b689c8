"""The queue, without clock or worker."""

from __future__ import annotations

import asyncio

from app.engine.job import Job
from app.engine.messages import Inputs
from app.engine.scheduler import Scheduler
from app.pipelines.text_to_image import TextToImageParams

INPUTS = Inputs("text-to-image", TextToImageParams(prompt="a"), seeds=(0,))


def job(name: str, deadline: float = 100.0) -> Job:
    outcome = asyncio.Future(loop=asyncio.new_event_loop())
    return Job(name, "test", INPUTS, None, 0.0, deadline, _outcome=outcome)


def queue_of(*names: str, limit: int = 8) -> Scheduler:
    queue = Scheduler(limit)
    for name in names:
        queue.add(job(name))
    return queue


def names(queue: Scheduler) -> list[str]:
    return [waiting.id for waiting in queue]


def test_first_come_first_served() -> None:
    queue = queue_of("a", "b", "c")
    assert [queue.next(0, free_slots=1, is_idle=True).id for _ in range(3)] == ["a", "b", "c"]
    assert queue.next(0, free_slots=1, is_idle=True) is None


def test_nothing_leaves_without_a_free_place() -> None:
    queue = queue_of("a")
    assert queue.next(0, free_slots=0, is_idle=True) is None
    assert names(queue) == ["a"]


def test_late_jobs_are_passed_over_and_taken_out() -> None:
    queue = Scheduler(8)
    queue.add(job("late", deadline=5))
    queue.add(job("good"))
    assert queue.next(5, free_slots=1, is_idle=True).id == "good"
    assert [expired.id for expired in queue.take_expired(5)] == ["late"]
    assert len(queue) == 0


def test_room_counts_places_that_nobody_waits_for() -> None:
    queue = queue_of("a", "b", limit=2)
    assert not queue.has_room(free_slots=0)
    assert queue.has_room(free_slots=1)
    assert Scheduler(0).has_room(free_slots=1)


def test_interrupted_jobs_return_to_the_front_in_their_order() -> None:
    queue = queue_of("c", limit=1)
    queue.put_back([job("a"), job("b")])
    assert names(queue) == ["a", "b", "c"]


def test_position_and_removal() -> None:
    queue = queue_of("a", "b")
    assert queue.position("b") == 1
    assert queue.remove("a").id == "a"
    assert queue.position("b") == 0
    assert queue.position("a") is None
    assert queue.remove("a") is None


def test_a_job_that_runs_alone_waits_until_the_worker_is_idle() -> None:
    queue = Scheduler(limit=2)
    suspect = job("suspect")
    suspect.runs_alone = True
    queue.add(suspect)
    queue.add(job("next"))
    assert queue.next(0, free_slots=1, is_idle=False) is None
    assert queue.next(0, free_slots=1, is_idle=True) is suspect
