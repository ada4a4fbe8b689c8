"""What a client that asks in a loop has heard already."""

from __future__ import annotations

from app.jobs.news import News


def test_each_point_of_a_job_is_new_once() -> None:
    news = News()
    points = [1, 1, 2, "COMPLETED", "COMPLETED"]
    assert [news.is_new("a", point) for point in points] == [True, False, True, True, False]
    assert news.is_new("b", 1)


def test_of_many_jobs_the_oldest_are_forgotten() -> None:
    news = News(most=2)
    assert [news.is_new(job_id, "COMPLETED") for job_id in "abc"] == [True] * 3
    assert not news.is_new("c", "COMPLETED")
    assert news.is_new("a", "COMPLETED")
