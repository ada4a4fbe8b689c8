"""The vocabulary: every way a caption can name each attribute."""

from training.scene import Land, Orb, Side, Time

TIME_WORDS: dict[Time, tuple[str, ...]] = {
    "dawn": ("dawn", "sunrise", "daybreak", "early morning"),
    "day": ("day", "noon", "midday", "daytime"),
    "sunset": ("sunset", "dusk", "sundown", "evening"),
    "night": ("night", "midnight", "nighttime"),
}
TIME_LEADS: dict[str, str] = {
    "early morning": "in the",
    "day": "by",
    "daytime": "in the",
    "evening": "in the",
    "nighttime": "in the",
}
"""What stands before a time word; "at" where nothing is given."""

LAND_WORDS: dict[Land, tuple[str, ...]] = {
    "mountains": ("mountains", "bare mountains", "rocky mountains", "a mountain range"),
    "snowy": ("snowy mountains", "snow-capped mountains", "mountains with snow", "snowy peaks"),
    "hills": ("green hills", "rolling hills", "hills", "grassy hills"),
    "desert": ("a desert", "desert dunes", "sand dunes", "the desert"),
    "sea": ("the sea", "the ocean", "a calm sea", "the open sea"),
}
ORB_WORDS: dict[Orb, tuple[str, ...]] = {
    "sun": ("the sun", "a bright sun", "a sun"),
    "full moon": ("a full moon", "the full moon", "the moon", "a moon"),
    "crescent moon": ("a crescent moon", "the crescent moon", "a moon crescent", "a half moon"),
}
SIDE_WORDS: dict[Side, tuple[str, ...]] = {
    "left": ("on the left", "to the left"),
    "middle": ("in the middle", "in the center"),
    "right": ("on the right", "to the right"),
}
STARS_WORDS = ("stars", "a starry sky", "many stars", "twinkling stars")
CLOUDS_WORDS = ("clouds", "a few clouds", "some clouds", "a cloudy sky")
CLEAR_WORDS = ("no clouds", "a clear sky", "a cloudless sky")
TREES_WORDS = ("trees", "pine trees", "a forest", "a pine forest", "pines")
BOAT_WORDS = ("a sailboat", "a boat", "a sailing boat", "a ship")
CACTUS_WORDS = ("a cactus", "a tall cactus", "a green cactus")
HOUSE_WORDS = ("house", "house", "cottage", "cabin")
HOUSE_PLACES: dict[Land, tuple[str, ...]] = {
    "mountains": ("near", "in front of", "below"),
    "snowy": ("near", "in front of", "below"),
    "hills": ("in", "among", "on"),
    "desert": ("in", "near"),
    "sea": ("by", "near"),
}

LEADS = (
    "a picture of", "a flat illustration of", "a minimalist poster of", "an illustration of",
    "a landscape with", "a drawing of", "a wallpaper of", "a view of",
)  # fmt: skip
FILLERS = (
    "beautiful", "calm", "minimalist", "flat design", "vector art", "high quality", "peaceful",
    "detailed", "4k", "colorful", "serene", "poster", "illustration", "art", "pretty", "lovely",
)  # fmt: skip
SYLLABLES = (
    "ka", "lo", "mi", "ter", "an", "gru", "sel", "vo", "pi", "ran", "dex", "ul", "fen", "ho",
    "qui", "zar", "bem", "ty", "os", "wen", "cha", "jor", "ni", "el", "stra", "ph", "ing", "ed",
)  # fmt: skip
"""Parts of made-up words, which teach the text encoder to pass over what it does not know."""
