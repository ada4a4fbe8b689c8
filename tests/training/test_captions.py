"""The captions: varied, true, and readable back into the scene they describe."""

import random

import pytest

from training.captions import add_noise, parse, write_caption
from training.scene import Scene, sample_scene

NAMES = ("time", "land", "orb", "stars", "clouds", "trees", "house", "boat", "cactus")


def test_a_complete_caption_reads_back_as_its_scene() -> None:
    rng = random.Random(4)
    for scene in (sample_scene(rng) for _ in range(800)):
        caption = write_caption(scene, rng, complete=True)
        read = parse(caption.text)
        for name in NAMES:
            assert getattr(read, name) == getattr(scene, name), (name, caption.text)
        for name in ("orb_side", "house_side"):
            if name in caption.said:
                assert getattr(read, name) == getattr(scene, name), (name, caption.text)


@pytest.mark.parametrize(
    ("text", "scene"),
    [
        (
            "snowy mountains at night with a full moon",
            Scene("night", "snowy", orb="full moon"),
        ),
        ("a red house by the sea at sunset", Scene("sunset", "sea", house="red")),
        ("Green hills", Scene("day", "hills")),
    ],
)
def test_plain_sentences(text: str, scene: Scene) -> None:
    assert parse(text) == scene


def test_wording_varies() -> None:
    rng = random.Random(5)
    scene = Scene("night", "sea", orb="full moon", clouds=True, boat=True)
    assert len({write_caption(scene, rng).text for _ in range(100)}) > 80


def test_captions_leave_things_out_but_never_invent_any() -> None:
    rng = random.Random(6)
    scene = Scene("day", "hills", clouds=True)
    said = [write_caption(scene, rng).said for _ in range(300)]
    assert any("clouds" not in names for names in said)
    assert all(names <= {"time", "land", "clouds"} for names in said)


def test_noise_adds_words_and_keeps_the_others_in_order() -> None:
    rng = random.Random(7)
    plain = "a red house by the sea at sunset"
    noisy = [add_noise(plain, rng) for _ in range(50)]
    assert any(text != plain for text in noisy)
    for text in noisy:
        rest = iter(text.split(" "))
        assert all(word in rest for word in plain.split(" "))
