"""The plan of measurements for a GPU, and how it goes on where it was stopped."""

from __future__ import annotations

from benchmarks.gpu_plan import FULL, Measurement, plan
from benchmarks.on_gpu import left_to_do, measure


def test_the_most_wanted_comes_first_and_each_once() -> None:
    names = [it.name for it in plan(FULL)]
    assert names[:3] == ["tests", "sd-turbo settings", "sd-turbo load 1"]
    assert len(set(names)) == len(names)


def test_what_is_done_is_not_done_again_and_what_failed_comes_last() -> None:
    one, two, three = (Measurement(name, 1, ()) for name in ("one", "two", "three"))
    done = {"one": {"code": 1}, "two": {"code": 0}}
    assert left_to_do([one, two, three], done) == [three, one]


def test_a_process_is_ended_after_its_time_and_leaves_its_last_words() -> None:
    code = "import os, time; print(os.environ['WORD'], flush=True); time.sleep(60)"
    found = measure(Measurement("slow", 1, ("-c", code), (("WORD", "hello"),)), limit=2)
    assert found["code"] == -9
    assert found["output"] == "hello\n"
    assert found["seconds"] < 30
