"""The things a landscape is made of, each drawn by one function."""

import math
import random

from training.canvas import Canvas, Point
from training.palette import PALETTES, Palette, Rgb, mix, scale, wall_color
from training.scene import HouseColor, Land, Orb, Time

ORB_RADIUS = 0.088
STAR_PLACES: tuple[Point, ...] = (
    (0.06, 0.07), (0.19, 0.04), (0.33, 0.10), (0.44, 0.05), (0.58, 0.09), (0.69, 0.04),
    (0.82, 0.07), (0.94, 0.05), (0.10, 0.20), (0.25, 0.24), (0.40, 0.20), (0.53, 0.27),
    (0.66, 0.21), (0.80, 0.26), (0.93, 0.19), (0.05, 0.33), (0.33, 0.34), (0.62, 0.35),
    (0.95, 0.34),
)  # fmt: skip
STAR: Rgb = (255, 252, 226)
CLOUD_PLACES = (0.2, 0.5, 0.8)
WAVES: tuple[Point, ...] = (
    (0.12, 0.73), (0.62, 0.71), (0.40, 0.80), (0.86, 0.82), (0.16, 0.90), (0.64, 0.93),
)  # fmt: skip


def stars(canvas: Canvas, rng: random.Random) -> None:
    """Draw most of the star places, every third as a sparkle with four points."""
    for number, (x, y) in enumerate(STAR_PLACES):
        if rng.random() < 0.12:
            continue
        if number % 3 == 0:
            long, short = 0.02, 0.005
            turns = [(0, -long), (short, -short), (long, 0), (short, short)]
            points = turns + [(-dx, -dy) for dx, dy in turns]
            canvas.polygon([(x + dx, y + dy) for dx, dy in points], STAR)
        else:
            canvas.disc((x, y), 0.009, STAR)


def orb(canvas: Canvas, center: Point, kind: Orb, time: Time) -> None:
    """Draw the sun or the moon with a soft halo (a crescent has none: it would fill the gap)."""
    colors = PALETTES[time]
    if kind == "crescent moon":
        canvas.polygon(_crescent(center, ORB_RADIUS), colors.orb)
        return
    sky = mix(colors.sky_top, colors.sky_horizon, min(1.0, center[1] / 0.6))
    canvas.disc(center, ORB_RADIUS * 1.5, mix(sky, colors.halo, 0.55))
    canvas.disc(center, ORB_RADIUS, colors.orb)


def _crescent(center: Point, radius: float) -> list[Point]:
    """Return the outline of a disc with a second disc, to its upper right, taken away."""
    turns = [2 * math.pi * i / 96 for i in range(96)]
    bite, bite_radius, facing = 0.5, 0.85, math.radians(-35)
    hole = (bite * math.cos(facing), bite * math.sin(facing))
    # Both arcs start behind their disc's far side, so that each is one unbroken run of points.
    rim = [(math.cos(facing + turn), math.sin(facing + turn)) for turn in turns]
    outer = [(x, y) for x, y in rim if math.dist((x, y), hole) > bite_radius]
    back = [(math.cos(facing - turn), math.sin(facing - turn)) for turn in turns]
    edge = [(hole[0] + bite_radius * x, hole[1] + bite_radius * y) for x, y in back]
    inner = [(x, y) for x, y in edge if math.hypot(x, y) < 1]
    return [(center[0] + radius * x, center[1] + radius * y) for x, y in outer + inner]


def clouds(
    canvas: Canvas, rng: random.Random, colors: Palette, kept_clear: float | None, drift: float
) -> None:
    """Draw a cloud at each place that does not hide the sun or moon at ``kept_clear``."""
    for number, place in enumerate(CLOUD_PLACES):
        x = place + rng.uniform(-0.04, 0.04) + drift
        y = (0.17, 0.12, 0.20)[number] + rng.uniform(-0.02, 0.02)
        size = rng.uniform(0.9, 1.15)
        if kept_clear is not None and abs(place - kept_clear) < 0.15:
            continue
        _cloud(canvas, x, y, size, colors.cloud)


def _cloud(canvas: Canvas, x: float, y: float, size: float, color: Rgb) -> None:
    """Draw three puffs on a flat base."""
    canvas.pill(x - 0.13 * size, y, x + 0.13 * size, y + 0.055 * size, color)
    for dx, dy, radius in ((-0.055, -0.002, 0.042), (0.012, -0.022, 0.055), (0.07, 0.005, 0.038)):
        canvas.disc((x + dx * size, y + dy * size), radius * size, color)


def wave(rng: random.Random, level: float, height: float, cycles: float) -> list[Point]:
    """Return a rolling line around ``level`` from the left edge to the right."""
    shift = rng.uniform(0, 2 * math.pi)
    steps = [i / 48 for i in range(49)]
    return [(x, level + height * math.sin(2 * math.pi * cycles * x + shift)) for x in steps]


def land(
    canvas: Canvas, rng: random.Random, kind: Land, colors: Palette, orb_x: float | None
) -> None:
    """Draw the land from the farthest layer to the nearest."""
    if kind in ("mountains", "snowy"):
        _mountains(canvas, rng, colors, snowy=kind == "snowy")
        near = colors.snowfield if kind == "snowy" else colors.meadow
        canvas.ground(wave(rng, 0.72, 0.015, 0.8), mix(near, colors.mountain_near, 0.25))
        canvas.ground(wave(rng, 0.81, 0.02, 0.7), near)
    elif kind == "hills":
        far = mix(colors.meadow, colors.sky_horizon, 0.45)
        canvas.ground(wave(rng, 0.56, 0.045, 1.3), far)
        canvas.ground(wave(rng, 0.67, 0.04, 1.0), mix(colors.meadow, colors.sky_horizon, 0.2))
        canvas.ground(wave(rng, 0.80, 0.03, 0.8), colors.meadow)
    elif kind == "desert":
        for level, light in ((0.58, 1.10), (0.68, 0.90), (0.82, 1.0)):
            canvas.ground(_dune(rng, level), scale(colors.sand, light))
    else:
        _sea(canvas, rng, colors, orb_x)


def _mountains(canvas: Canvas, rng: random.Random, colors: Palette, snowy: bool) -> None:
    """Draw a far and a near range; snow lies on the near peaks."""
    for x in (0.08, 0.48, 0.88):
        top = 0.47 + rng.uniform(-0.03, 0.03)
        canvas.polygon([(x - 0.34, 0.76), (x, top), (x + 0.34, 0.76)], colors.mountain_far)
    for x, height in ((0.27, 0.37), (0.71, 0.41)):
        peak = (x + rng.uniform(-0.05, 0.05), height + rng.uniform(-0.02, 0.025))
        left = (peak[0] - 0.30, 0.78)
        right = (peak[0] + 0.30, 0.78)
        canvas.polygon([left, peak, right], colors.mountain_near)
        shaded = mix(colors.mountain_near, (0, 0, 0), 0.12)
        canvas.polygon([peak, right, (peak[0] + 0.05, 0.78)], shaded)
        if snowy:
            canvas.polygon(_snow_cap(peak), colors.snow)


def _snow_cap(peak: Point) -> list[Point]:
    """Return the outline of the snow: down both flanks, then a zigzag between them."""
    x, y = peak
    slope = 0.30 / (0.78 - y)
    depth = 0.15
    zigzag = ((0.9, 1.0), (0.45, 0.72), (0.1, 1.05), (-0.35, 0.75), (-0.95, 1.0))
    return [peak] + [
        (x + dx * slope * depth * min(1.0, down), y + down * depth) for dx, down in zigzag
    ]


def _dune(rng: random.Random, level: float) -> list[Point]:
    """Return a dune's ridge: a long rise and a shorter fall."""
    crest = rng.uniform(0.3, 0.7)
    rise = rng.uniform(0.06, 0.09)
    steps = [i / 48 for i in range(49)]
    shape = [
        math.sin(math.pi / 2 * (x / crest if x < crest else (1 - x) / (1 - crest))) for x in steps
    ]
    return [(x, level + 0.03 - rise * s * s) for x, s in zip(steps, shape, strict=True)]


def _sea(canvas: Canvas, rng: random.Random, colors: Palette, orb_x: float | None) -> None:
    """Draw the water, its wave strokes and the light of the sun or moon on it."""
    top = 0.60
    canvas.rectangle(0, top, 1, 1, colors.sea)
    canvas.rectangle(0, top, 1, top + 0.05, mix(colors.sea, colors.sky_horizon, 0.22))
    stroke = mix(colors.sea, colors.sky_horizon, 0.35)
    for x, y in WAVES:
        dx = rng.uniform(-0.03, 0.03)
        canvas.pill(x + dx - 0.07, y, x + dx + 0.07, y + 0.012, stroke)
    if orb_x is not None:
        for y, width in ((0.63, 0.09), (0.67, 0.06), (0.71, 0.075), (0.75, 0.04)):
            glow = mix(colors.sea, colors.orb, 0.5)
            canvas.pill(orb_x - width, y, orb_x + width, y + 0.02, glow)


def trees(canvas: Canvas, rng: random.Random, colors: Palette) -> None:
    """Draw a row of pines across the picture."""
    for number in range(9):
        x = 0.06 + 0.11 * number + rng.uniform(-0.015, 0.015)
        height = rng.uniform(0.15, 0.2)
        base = 0.80 + 0.015 * (number % 2)
        color = colors.tree if number % 2 else mix(colors.tree, colors.meadow, 0.18)
        canvas.rectangle(x - 0.01, base - 0.02, x + 0.01, base + 0.02, scale(colors.roof, 0.9))
        for share, width in ((0.0, 0.038), (0.28, 0.052), (0.56, 0.064)):
            top = base - height + share * height
            bottom = min(base, top + 0.5 * height)
            canvas.polygon([(x - width, bottom), (x, top), (x + width, bottom)], color)


def house(canvas: Canvas, x: float, color: HouseColor, kind: Land, time: Time) -> None:
    """Draw a house with a gable roof, on a green shore where the land is the sea."""
    colors = PALETTES[time]
    if kind == "sea":
        canvas.ellipse((x, 0.99), 0.30, 0.12, colors.meadow)
    base, half = 0.91, 0.125
    wall = wall_color(color, time)
    top = base - 0.16
    canvas.rectangle(x + 0.05, top - 0.12, x + 0.085, top, colors.roof)
    canvas.rectangle(x - half, top, x + half, base, wall)
    canvas.polygon([(x - half - 0.03, top), (x, top - 0.125), (x + half + 0.03, top)], colors.roof)
    canvas.rectangle(x - 0.028, base - 0.1, x + 0.028, base, colors.roof)
    for side in (-0.08, 0.08):
        canvas.rectangle(
            x + side - 0.024, top + 0.035, x + side + 0.024, top + 0.085, colors.window
        )


def boat(canvas: Canvas, x: float, colors: Palette) -> None:
    """Draw a sailing boat on the water."""
    base = 0.77
    sail = scale((255, 252, 244), colors.shade)
    canvas.rectangle(x - 0.006, base - 0.22, x + 0.006, base, colors.roof)
    canvas.polygon(
        [(x + 0.012, base - 0.21), (x + 0.012, base - 0.03), (x + 0.105, base - 0.03)], sail
    )
    canvas.polygon(
        [(x - 0.012, base - 0.17), (x - 0.012, base - 0.03), (x - 0.08, base - 0.03)],
        scale(sail, 0.9),
    )
    canvas.polygon(
        [
            (x - 0.105, base - 0.015),
            (x + 0.115, base - 0.015),
            (x + 0.075, base + 0.04),
            (x - 0.075, base + 0.04),
        ],
        scale((200, 62, 48), colors.shade),
    )


def cactus(canvas: Canvas, x: float, colors: Palette) -> None:
    """Draw a cactus with two arms."""
    base, color = 0.88, colors.cactus
    canvas.pill(x - 0.032, base - 0.29, x + 0.032, base, color)
    canvas.pill(x - 0.11, base - 0.15, x, base - 0.105, color)
    canvas.pill(x - 0.11, base - 0.22, x - 0.065, base - 0.105, color)
    canvas.pill(x, base - 0.19, x + 0.11, base - 0.145, color)
    canvas.pill(x + 0.065, base - 0.26, x + 0.11, base - 0.145, color)
