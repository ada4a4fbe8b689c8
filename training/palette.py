"""The colours of every part of a landscape at every time of day (sRGB, 0 to 255).

Chosen by eye for flat, layered pictures, and far enough apart that the checker can tell the parts
by colour alone.
"""

from dataclasses import dataclass

from training.scene import HouseColor, Land, Time

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """One time of day; ``sky`` runs from the top of the picture to the horizon."""

    sky_top: Rgb
    sky_horizon: Rgb
    orb: Rgb
    halo: Rgb
    cloud: Rgb
    mountain_far: Rgb
    mountain_near: Rgb
    snow: Rgb
    meadow: Rgb
    snowfield: Rgb
    sand: Rgb
    sea: Rgb
    tree: Rgb
    cactus: Rgb
    roof: Rgb
    window: Rgb
    shade: float
    """Brightness of painted things (house walls, sails), 1 in daylight."""

    def ground(self, land: Land) -> Rgb:
        """Return the colour of the nearest ground of ``land``."""
        return {
            "mountains": self.meadow,
            "snowy": self.snowfield,
            "hills": self.meadow,
            "desert": self.sand,
            "sea": self.sea,
        }[land]


PALETTES: dict[Time, Palette] = {
    "dawn": Palette(
        sky_top=(150, 136, 212), sky_horizon=(255, 200, 196), orb=(255, 232, 120),
        halo=(255, 214, 176), cloud=(255, 240, 246), mountain_far=(164, 132, 186),
        mountain_near=(124, 100, 160), snow=(255, 240, 246), meadow=(140, 174, 120),
        snowfield=(240, 222, 238), sand=(236, 186, 142), sea=(110, 150, 204), tree=(62, 98, 92),
        cactus=(72, 124, 92), roof=(96, 56, 62), window=(255, 236, 170), shade=0.97,
    ),
    "day": Palette(
        sky_top=(70, 164, 236), sky_horizon=(196, 232, 250), orb=(255, 212, 48),
        halo=(214, 228, 190), cloud=(255, 255, 255), mountain_far=(140, 158, 188),
        mountain_near=(98, 116, 150), snow=(252, 253, 255), meadow=(118, 190, 84),
        snowfield=(234, 242, 250), sand=(244, 206, 124), sea=(24, 112, 196), tree=(28, 104, 66),
        cactus=(48, 144, 78), roof=(104, 58, 50), window=(120, 170, 206), shade=1.0,
    ),
    "sunset": Palette(
        sky_top=(214, 66, 72), sky_horizon=(255, 186, 88), orb=(255, 244, 176),
        halo=(255, 206, 120), cloud=(146, 54, 92), mountain_far=(150, 62, 86),
        mountain_near=(104, 40, 76), snow=(255, 214, 196), meadow=(128, 116, 52),
        snowfield=(244, 190, 176), sand=(206, 112, 56), sea=(124, 56, 112), tree=(56, 40, 46),
        cactus=(70, 62, 50), roof=(70, 34, 44), window=(255, 226, 130), shade=0.95,
    ),
    "night": Palette(
        sky_top=(14, 20, 60), sky_horizon=(70, 84, 152), orb=(250, 244, 208),
        halo=(84, 96, 150), cloud=(98, 110, 166), mountain_far=(50, 56, 108),
        mountain_near=(34, 38, 80), snow=(196, 206, 240), meadow=(30, 72, 70),
        snowfield=(140, 154, 206), sand=(112, 96, 112), sea=(18, 48, 110), tree=(10, 30, 40),
        cactus=(28, 66, 60), roof=(40, 28, 50), window=(255, 222, 110), shade=0.82,
    ),
}  # fmt: skip

HOUSE_WALLS: dict[HouseColor, Rgb] = {
    "red": (216, 52, 48),
    "blue": (44, 92, 220),
    "yellow": (248, 208, 56),
    "white": (246, 244, 240),
    "purple": (150, 72, 190),
}


def scale(color: Rgb, factor: float) -> Rgb:
    """Return ``color`` made darker (``factor`` < 1) or lighter, kept within 0 to 255."""
    red, green, blue = (min(255, max(0, round(channel * factor))) for channel in color)
    return red, green, blue


def mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    """Return ``first`` with ``share`` (0 to 1) of ``second`` blended in."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def wall_color(house: HouseColor, time: Time) -> Rgb:
    """Return the colour of a house's walls as seen at ``time``."""
    return scale(HOUSE_WALLS[house], PALETTES[time].shade)
