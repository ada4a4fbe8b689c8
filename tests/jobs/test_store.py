"""The table of jobs: order, compare-and-set, recovery, expiry."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from app.engine.encoding import File
from app.errors import Overloaded
from app.jobs.durable import JobOrder, JobState
from app.jobs.store import JobStore
from app.pipelines.text_to_image import TextToImageParams
from tests.jobs.conftest import make_order

PIPELINE = "text-to-image"
PNG = File(b"png", "image/png", 2**63 + 4, True)


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    connection = sqlite3.connect(tmp_path / "jobs.sqlite3", isolation_level=None)
    return JobStore(connection, most_bytes=100, most_waiting=20)


def order(**values: object) -> JobOrder:
    return make_order(**{"params": TextToImageParams(prompt="a fox"), **values})


def add(store: JobStore, *ids: str, now: float = 0.0, **values: object) -> None:
    for job_id in ids:
        store.add(job_id, PIPELINE, order(**values), now)


def state(store: JobStore, job_id: str) -> str:
    job = store.find(job_id, 0.0)
    assert job is not None
    return job.state


def test_jobs_leave_in_order_those_of_low_priority_last(store: JobStore) -> None:
    add(store, "low", low_priority=True)
    add(store, "first", "second")
    taken: list[str] = []
    while job := store.next_waiting(PIPELINE, taken, 0.0):
        assert store.position(job) == len(taken)
        taken.append(job.id)
    assert taken == ["first", "second", "low"]


def test_only_what_the_client_set_is_kept_of_its_parameters(store: JobStore) -> None:
    add(store, "a", image=b"file")
    job = store.find("a", 0.0)
    assert job is not None
    params = TextToImageParams.model_validate_json(job.params)
    assert params.model_fields_set == {"prompt"}
    assert store.image("a") == b"file"


def test_a_job_ends_once(store: JobStore) -> None:
    add(store, "a", "b")
    assert store.start("a", 1.0) == 1
    assert store.end("a", JobState.CANCELLED, "", 2.0)
    assert not store.complete("a", [PNG], "[]", 3.0)
    assert not store.end("a", JobState.FAILED, "late", 3.0)
    assert store.start("a", 3.0) == 0
    assert not store.requeue("a")
    assert state(store, "a") == "CANCELLED"
    assert store.files("a") == ()

    assert store.complete("b", [PNG], "[]", 3.0)
    assert not store.end("b", JobState.CANCELLED, "", 4.0)
    assert store.files("b") == (PNG,)


def test_after_the_end_of_the_process_running_jobs_wait_in_their_place(store: JobStore) -> None:
    add(store, "a", "b", "c")
    store.start("a", 1.0)
    store.complete("c", [PNG], "[]", 1.0)
    assert store.recover(5, 2.0) == (1, 0)
    first = store.next_waiting(PIPELINE, [], 2.0)
    assert first is not None
    assert (first.id, first.attempts, first.started) == ("a", 1, None)
    assert state(store, "c") == "COMPLETED"


def test_a_job_that_never_survives_fails_with_the_reason(store: JobStore) -> None:
    add(store, "a")
    for attempt in range(1, 4):
        assert store.start("a", 1.0) == attempt
        assert store.recover(3, 2.0) == ((1, 0) if attempt < 3 else (0, 1))
    job = store.find("a", 2.0)
    assert job is not None
    assert job.state is JobState.FAILED
    assert "3 times (JOB_ATTEMPTS)" in job.error


def test_a_start_that_a_shutdown_ended_does_not_count(store: JobStore) -> None:
    add(store, "a")
    for _ in range(9):
        assert store.start("a", 1.0) == 1
        store.requeue("a", 1)


def test_a_failed_job_runs_again_behind_the_others(store: JobStore) -> None:
    add(store, "a", "b")
    assert not store.retry("a")
    store.end("a", JobState.FAILED, "why", 1.0)
    assert store.retry("a")
    job = store.find("a", 2.0)
    assert job is not None
    assert (job.state, job.error, job.finished, job.retries) == ("IN_QUEUE", "", None, 1)
    assert store.position(job) == 1


def test_results_expire_after_their_retention_and_jobs_after_their_ttl(store: JobStore) -> None:
    add(store, "done", "waits", ttl=100.0, retention=10.0)
    store.complete("done", [PNG], "[]", 5.0)
    assert store.find("done", 14.9)
    assert store.find("done", 15.0) is None
    assert store.remove_expired(15.0) == ["done"]
    assert store.files("done") == ()
    assert store.find("waits", 99.9)
    assert store.next_waiting(PIPELINE, [], 100.0) is None
    assert store.remove_expired(100.0) == ["waits"]


def test_a_result_does_not_outlive_the_ttl(store: JobStore) -> None:
    add(store, "a", ttl=12.0, retention=1800.0)
    store.complete("a", [PNG], "[]", 5.0)
    assert store.find("a", 12.0) is None


def test_purge_takes_only_what_waits(store: JobStore) -> None:
    add(store, "runs", "waits", "done")
    store.start("runs", 1.0)
    store.complete("done", [PNG], "[]", 1.0)
    assert store.purge() == ["waits"]
    counts, retried = store.counts(1.0)
    assert counts == {JobState.IN_PROGRESS: 1, JobState.COMPLETED: 1}
    assert retried == 0


def test_a_webhook_is_due_from_the_end_until_it_is_settled(store: JobStore) -> None:
    add(store, "a", webhook="https://hook")
    add(store, "silent")
    assert store.due_webhooks(9.0, 5) == []
    store.end("a", JobState.FAILED, "why", 10.0)
    store.end("silent", JobState.FAILED, "why", 10.0)
    (due,) = store.due_webhooks(10.0, 5)
    assert due.id == "a"
    store.plan_webhook(due, 20.0)
    assert store.due_webhooks(19.0, 5) == []
    (due,) = store.due_webhooks(20.0, 5)
    assert due.webhook_tries == 1
    store.plan_webhook(due, None)
    assert store.due_webhooks(99.0, 5) == []


def test_a_call_for_an_earlier_end_leaves_that_of_a_later_one_due(store: JobStore) -> None:
    add(store, "a", webhook="https://hook")
    store.end("a", JobState.FAILED, "why", 10.0)
    (earlier,) = store.due_webhooks(10.0, 5)
    store.retry("a")
    store.complete("a", [PNG], "[]", 11.0)
    store.plan_webhook(earlier, None)
    assert [job.state for job in store.due_webhooks(11.0, 5)] == ["COMPLETED"]


def test_hosts_that_are_busy_are_passed_over(store: JobStore) -> None:
    for job_id, url in (("a", "https://slow/1"), ("b", "https://slow/2"), ("c", "https://quick")):
        add(store, job_id, webhook=url)
        store.end(job_id, JobState.FAILED, "why", 10.0)
    assert [job.id for job in store.due_webhooks(10.0, 1, ("https://slow/",))] == ["c"]


def test_an_expired_job_stays_until_its_webhook_was_called(store: JobStore) -> None:
    add(store, "a", webhook="https://hook", retention=60.0)
    store.complete("a", [PNG], "[]", 10.0)
    assert store.remove_expired(100.0) == []
    assert store.find("a", 100.0) is None
    store.plan_webhook(store.due_webhooks(100.0, 1)[0], None)
    assert store.remove_expired(100.0) == ["a"]


def test_an_expired_job_does_not_wait_for_its_webhook_for_ever(store: JobStore) -> None:
    add(store, "a", webhook="https://hook", retention=60.0)
    store.complete("a", [PNG], "[]", 10.0)
    assert store.remove_expired(10_000.0) == ["a"]


def test_a_transaction_that_fails_leaves_nothing(store: JobStore) -> None:
    add(store, "a")
    with pytest.raises(sqlite3.IntegrityError):
        add(store, "a", image=b"twice")
    broken = File(b"", "image/png", 1, False, None)  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        store.complete("a", [PNG, broken], "[]", 1.0)
    assert state(store, "a") == "IN_QUEUE"
    assert store.files("a") == ()


def test_the_oldest_results_make_room(store: JobStore) -> None:
    add(store, "reported", webhook="https://example.com")
    add(store, "old", "new", "newest")
    file = File(b"x" * 40, "image/png", 1, False)
    for now, job_id in enumerate(("reported", "old", "new", "newest")):
        store.complete(job_id, (file,), "[]", float(now))
    kept = [job_id for job_id in ("reported", "old", "new", "newest") if store.find(job_id, 0.0)]
    assert kept == ["reported", "newest"]
    assert store.files("newest") == (file,)


def test_the_image_of_a_cancelled_job_is_gone(store: JobStore) -> None:
    add(store, "a", "b", image=b"x" * 50)
    store.end("a", JobState.CANCELLED, "", 1.0)
    assert store.image("a") is None
    assert store.image("b") is not None
    with pytest.raises(Overloaded, match="RESULTS_LIMIT_MB"):
        add(store, "too large", image=b"x" * 51)
    assert store.find("too large", 1.0) is None
    add(store, "fits", image=b"x" * 50)


def test_what_makes_room_for_an_image_stays_where_that_is_not_enough(store: JobStore) -> None:
    add(store, "failed", "waits", image=b"x" * 50)
    store.end("failed", JobState.FAILED, "why", 1.0)
    with pytest.raises(Overloaded):
        add(store, "large", image=b"x" * 60)
    assert store.image("failed") is not None
    add(store, "small", image=b"x" * 50)
    assert store.find("failed", 1.0) is None


def test_no_more_jobs_wait_than_may(store: JobStore) -> None:
    add(store, "failed")
    store.end("failed", JobState.FAILED, "why", 1.0)
    add(store, *map(str, range(20)))
    with pytest.raises(Overloaded, match="20 asynchronous jobs are waiting"):
        add(store, "one more")
    with pytest.raises(Overloaded, match="JOB_LIMIT"):
        store.retry("failed")
    assert not store.retry("0")  # it would be refused if there were room, too
    assert (state(store, "failed"), store.waiting()) == ("FAILED", 20)
    store.start("0", 2.0)
    assert store.retry("failed")


def test_a_cancellation_that_comes_too_late_leaves_the_image_for_a_retry(store: JobStore) -> None:
    add(store, "a", image=b"picture")
    store.end("a", JobState.FAILED, "why", 1.0)
    assert not store.end("a", JobState.CANCELLED, "", 2.0)
    assert store.retry("a")
    assert store.image("a") == b"picture"


def test_room_is_not_made_at_the_cost_of_webhooks(store: JobStore) -> None:
    large = File(b"x" * 9, "image/png", 1, False)
    add(store, "plain")
    add(store, *(f"hook{i}" for i in range(10)), webhook="https://hook/")
    store.complete("plain", [large], "[]", 1.0)
    for i in range(10):
        store.complete(f"hook{i}", [large], "[]", 2.0 + i)
    add(store, "new")
    store.complete("new", [large], "[]", 20.0)
    assert store.find("plain", 20.0) is None
    assert all(store.find(f"hook{i}", 20.0) for i in range(10))


def test_a_failed_write_does_not_spoil_what_is_known_of_the_room(store: JobStore) -> None:
    old, broken = File(b"x" * 60, "image/png", 1, False), File(b"", "", 1, False, None)  # type: ignore[arg-type]
    add(store, "old", "failing", "new")
    store.complete("old", [old], "[]", 1.0)
    with pytest.raises(sqlite3.IntegrityError):
        store.complete("failing", [old, broken], "[]", 2.0)
    assert store.find("old", 2.0) is not None
    store.complete("new", [old], "[]", 3.0)
    assert store.find("old", 3.0) is None
