"""Puts a scene into words, in many ways, and reads such words back into a scene."""

import random
import re
from dataclasses import dataclass
from typing import cast

from training import words
from training.scene import (
    HOUSE_COLORS,
    USUAL_HOUSE_SIDE,
    USUAL_ORB_SIDE,
    HouseColor,
    Land,
    Orb,
    Scene,
    Side,
    Time,
)

SAID_SHARE = {
    "time": 0.93, "land": 0.97, "orb": 0.85, "stars": 0.9, "clouds": 0.85, "clear": 0.35,
    "trees": 0.95, "house": 0.96, "boat": 0.95, "cactus": 0.95, "orb_side": 0.55,
    "house_side": 0.55,
}  # fmt: skip
"""How often a training caption says what is there. Being silent now and then is what makes a
negative prompt worth something: an unnamed cloud may or may not be there. Of the sides only the
usual ones are left out: a thing that may be on either side is painted on both."""


@dataclass(frozen=True)
class Caption:
    """A caption and the names of the attributes it really mentions."""

    text: str
    said: frozenset[str]


def write_caption(scene: Scene, rng: random.Random, complete: bool = False) -> Caption:
    """Describe ``scene``; a ``complete`` caption leaves out nothing but, sometimes, sides."""
    there = {
        "time": True, "land": True, "orb": scene.orb is not None, "stars": scene.stars,
        "clouds": scene.clouds, "clear": not scene.clouds, "trees": scene.trees,
        "house": scene.house is not None, "boat": scene.boat, "cactus": scene.cactus,
    }  # fmt: skip
    said = {
        name
        for name, present in there.items()
        if present and (rng.random() < SAID_SHARE[name] or (complete and name != "clear"))
    }
    unusual = {
        "orb_side": scene.orb_side != USUAL_ORB_SIDE,
        "house_side": scene.house_side != USUAL_HOUSE_SIDE,
    }
    for name, is_unusual in unusual.items():
        if name.removesuffix("_side") in said and (is_unusual or rng.random() < SAID_SHARE[name]):
            said.add(name)
    return Caption(_compose(scene, said, rng), frozenset(said))


def _compose(scene: Scene, said: set[str], rng: random.Random) -> str:
    """Choose a word order and fill it in."""
    things = _things(scene, said, rng)
    time_word = rng.choice(words.TIME_WORDS[scene.time])
    time = f"{words.TIME_LEADS.get(time_word, 'at')} {time_word}" if "time" in said else ""
    land = rng.choice(words.LAND_WORDS[scene.land]) if "land" in said else ""
    style = rng.random()
    if style < 0.18:
        tags = [*things, land, time_word if time else ""]
        rng.shuffle(tags)
        return ", ".join(tag for tag in tags if tag) or "a landscape"
    main, rest = _main_clause(scene, land, things, rng)
    listed = _listed(rest)
    if style < 0.3 and time:
        text = f"{time}, {main}" + (f" with {listed}" if listed else "")
    elif style < 0.65:
        text = main + (f" with {listed}" if listed else "") + (f" {time}" if time else "")
    else:
        text = main + (f" {time}" if time else "") + (f" with {listed}" if listed else "")
    return f"{rng.choice(words.LEADS)} {text}" if rng.random() < 0.2 else text


def _main_clause(
    scene: Scene, land: str, things: list[str], rng: random.Random
) -> tuple[str, list[str]]:
    """Return the clause that names the land, and the things still to be listed."""
    if not land:
        return (things[0], things[1:]) if things else ("a landscape", [])
    if not things or rng.random() < 0.4:
        return land, things
    first = things[0]
    if any(f" {noun}" in first for noun in words.HOUSE_WORDS):
        return f"{first} {rng.choice(words.HOUSE_PLACES[scene.land])} {land}", things[1:]
    if first in words.BOAT_WORDS:
        return f"{first} on {land}", things[1:]
    if first in words.CACTUS_WORDS:
        return f"{first} in {land}", things[1:]
    if " sun" in first or "moon" in first:
        return f"{first} over {land}", things[1:]
    return land, things


def _things(scene: Scene, said: set[str], rng: random.Random) -> list[str]:
    """Name everything that is said, in random order."""
    things: list[str] = []
    if "orb" in said and scene.orb is not None:
        side = f" {rng.choice(words.SIDE_WORDS[scene.orb_side])}" if "orb_side" in said else ""
        things.append(rng.choice(words.ORB_WORDS[scene.orb]) + side)
    if "house" in said and scene.house is not None:
        small = "small " if rng.random() < 0.2 else ""
        side = f" {rng.choice(words.SIDE_WORDS[scene.house_side])}" if "house_side" in said else ""
        things.append(f"a {small}{scene.house} {rng.choice(words.HOUSE_WORDS)}{side}")
    for name, choices in (
        ("stars", words.STARS_WORDS), ("clouds", words.CLOUDS_WORDS),
        ("clear", words.CLEAR_WORDS), ("trees", words.TREES_WORDS),
        ("boat", words.BOAT_WORDS), ("cactus", words.CACTUS_WORDS),
    ):  # fmt: skip
        if name in said:
            things.append(rng.choice(choices))
    rng.shuffle(things)
    return things


def _listed(things: list[str]) -> str:
    """Join with commas and a last "and"."""
    if len(things) < 2:
        return "".join(things)
    return ", ".join(things[:-1]) + " and " + things[-1]


def add_noise(text: str, rng: random.Random) -> str:
    """Put fillers and made-up words into a caption, so that unknown words do no harm."""
    if rng.random() < 0.7:
        return text
    parts = text.split(" ")
    for _ in range(rng.randint(1, 3)):
        made_up = "".join(rng.choice(words.SYLLABLES) for _ in range(rng.randint(2, 4)))
        word = rng.choice(words.FILLERS) if rng.random() < 0.5 else made_up
        parts.insert(rng.choice((0, len(parts), rng.randint(0, len(parts)))), word)
    return " ".join(parts)


def parse(text: str) -> Scene:
    """Read a caption; an unnamed time is day and an unnamed land is hills."""
    text = text.lower()
    time: Time = next((t for t, w in words.TIME_WORDS.items() if _names(text, w)), "day")
    nouns = {land: _last_words(choices) for land, choices in words.LAND_WORDS.items()}
    land: Land = next((k for k, w in nouns.items() if _names(text, w)), "hills")
    if land in ("mountains", "snowy"):
        land = "snowy" if re.search(r"\bsnow", text) else "mountains"
    orb: Orb | None = "sun" if _names(text, ("sun",)) else None
    if "moon" in text:
        orb = "crescent moon" if re.search(r"crescent|half moon", text) else "full moon"
    house: HouseColor | None = next(
        (c for c in HOUSE_COLORS if re.search(rf"\b{c} (?:house|cottage|cabin)\b", text)), None
    )
    return Scene(
        time=time,
        land=land,
        orb=orb,
        orb_side=_side(text, "sun|moon|moon crescent", USUAL_ORB_SIDE),
        stars=bool(re.search(r"\bstar", text)),
        clouds=bool(re.search(r"\bcloud(s|y)\b", text)) and "no clouds" not in text,
        trees=bool(re.search(r"\b(trees|pines?|forest)\b", text)),
        house=house,
        house_side=_side(text, "house|cottage|cabin", USUAL_HOUSE_SIDE),
        boat=bool(re.search(r"\b(sailboat|boat|ship)\b", text)),
        cactus="cactus" in text,
    )


def _names(text: str, choices: tuple[str, ...]) -> bool:
    """Say whether any of ``choices`` stands in ``text`` as whole words."""
    return any(re.search(rf"\b{re.escape(choice)}\b", text) for choice in choices)


def _last_words(choices: tuple[str, ...]) -> tuple[str, ...]:
    """Return the noun of each choice: its last word."""
    return tuple(choice.split(" ")[-1] for choice in choices)


def _side(text: str, nouns: str, default: Side) -> Side:
    """Return the side named right after one of ``nouns``."""
    pattern = rf"\b(?:{nouns})\b (?:(?:on|to) the (left|right)|in the (?:middle|(center)))"
    found = re.search(pattern, text)
    if found is None:
        return default
    return cast("Side", found.group(1) or "middle")
