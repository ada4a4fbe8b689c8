"""Says whether a picture shows what its caption names."""

from collections.abc import Iterable
from dataclasses import dataclass

from training import measure
from training.captions import Caption
from training.measure import Picture
from training.scene import Scene, Side

FULL_MOON_SHARE = 0.0165
ORB_SHARE = 0.006
CLOUD_SHARE = 0.012
STAR_SHARE = 0.0036
MOUNTAIN_SHARE = 0.02
SNOW_SHARE = 0.008
TREE_SHARE = 0.035
BOAT_SHARE = 0.0025
CACTUS_SHARE = 0.012
"""Least shares of the picture: a third to a half of what rendered pictures have, and above
anything measured on rendered pictures without the thing."""

SIDE_EDGES: dict[Side, tuple[float, float]] = {
    "left": (0.0, 0.38),
    "middle": (0.34, 0.66),
    "right": (0.62, 1.0),
}


def low_orb(scene: Scene) -> bool:
    """Say whether the sun or moon may stand near the horizon."""
    return scene.land in ("sea", "desert")


def see_orb(picture: Picture, scene: Scene) -> bool:
    """Look for the sun, or for a moon of the right phase."""
    share = measure.orb_share(picture, scene.time, low_orb(scene))
    if scene.orb == "crescent moon":
        return ORB_SHARE < share < FULL_MOON_SHARE
    return share > FULL_MOON_SHARE if scene.orb == "full moon" else share > ORB_SHARE


def see_orb_side(picture: Picture, scene: Scene) -> bool:
    """Check where the sun or moon stands."""
    low, high = SIDE_EDGES[scene.orb_side]
    return low <= measure.orb_x(picture, scene.time, low_orb(scene)) <= high


def see_ground(picture: Picture, scene: Scene) -> bool:
    """Check the colour of the nearest ground."""
    meadow = {"mountains", "hills"}
    seen = measure.ground_land(picture, scene.time)
    return seen == scene.land or {seen, scene.land} <= meadow


def check(picture: Picture, scene: Scene, said: Iterable[str]) -> dict[str, bool]:
    """Return, for everything that the caption names and can be measured, whether it is there.

    Colours are judged for the scene's own time of day, so a wrong sky fails alone.
    """
    said = set(said)
    time = scene.time
    found: dict[str, bool] = {}
    if "time" in said:
        found["sky"] = measure.sky_time(picture) == time
    if "land" in said:
        found["ground"] = see_ground(picture, scene)
        if scene.land in ("mountains", "snowy"):
            found["mountains"] = measure.mountain_share(picture, time) > MOUNTAIN_SHARE
        if scene.land == "snowy":
            found["snow"] = measure.snow_share(picture, time) > SNOW_SHARE
    if "orb" in said and scene.orb is not None:
        found["sun" if scene.orb == "sun" else "moon"] = see_orb(picture, scene)
        if "orb_side" in said:
            found["side of sun or moon"] = see_orb_side(picture, scene)
    if "stars" in said:
        found["stars"] = measure.star_count_share(picture) > STAR_SHARE
    if "clouds" in said:
        found["clouds"] = measure.cloud_share(picture, time) > CLOUD_SHARE
    if "clear" in said:
        found["no clouds"] = measure.cloud_share(picture, time) < CLOUD_SHARE
    if "trees" in said:
        found["trees"] = measure.tree_share(picture, time) > TREE_SHARE
    if "boat" in said:
        found["boat"] = measure.boat_share(picture, time) > BOAT_SHARE
    if "cactus" in said:
        found["cactus"] = measure.cactus_share(picture, time) > CACTUS_SHARE
    if "house" in said:
        found["house and its colour"] = measure.house_color(picture, time) == scene.house
    return found


@dataclass
class Table:
    """How often each thing was right, over many pictures."""

    right: dict[str, int]
    total: dict[str, int]
    perfect: int = 0
    pictures: int = 0

    @classmethod
    def empty(cls) -> "Table":
        """Return a table without entries."""
        return cls({}, {})

    def add(self, found: dict[str, bool]) -> None:
        """Count one picture's results."""
        for name, is_right in found.items():
            self.total[name] = self.total.get(name, 0) + 1
            self.right[name] = self.right.get(name, 0) + int(is_right)
        self.pictures += 1
        self.perfect += int(all(found.values()))

    def rate(self, *names: str) -> float:
        """Return the share that was right among ``names``, or among all when none is given."""
        chosen = names or tuple(self.total)
        total = sum(self.total.get(name, 0) for name in chosen)
        return sum(self.right.get(name, 0) for name in chosen) / max(1, total)

    def lines(self) -> list[str]:
        """Return the table as Markdown rows."""
        rows = ["| what | right | of | rate |", "|---|---:|---:|---:|"]
        for name in sorted(self.total):
            right, total = self.right[name], self.total[name]
            rows.append(f"| {name} | {right} | {total} | {100 * right / total:.1f} % |")
        rows.append(
            f"| everything in the caption | {self.perfect} | {self.pictures} "
            f"| {100 * self.perfect / max(1, self.pictures):.1f} % |"
        )
        return rows


def tabulate(pictures: Iterable[Picture], asked: Iterable[tuple[Scene, Caption]]) -> Table:
    """Check every picture against its caption."""
    table = Table.empty()
    for picture, (scene, caption) in zip(pictures, asked, strict=True):
        table.add(check(picture, scene, caption.said))
    return table
