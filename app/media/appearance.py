"""A decoded picture as a viewer shows it: opaque, in sRGB, upright."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, ImageCms

# EXIF 2.32, tag 0x0112: what has to be done to stored pixels to see them upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow's mode to the colour space that an ICC profile (ICC.1:2022, table 19) has to declare.
_PROFILE_SPACE = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_MAX_PROFILE_BYTES = 4 * 1024 * 1024  # the largest press profiles in use take 2 to 3 MB


def as_shown(stored: Image.Image) -> Image.Image:
    """The picture as RGB; `stored` itself where nothing is to be done to it."""
    return _upright(_flatten(stored), stored)


def _flatten(image: Image.Image) -> Image.Image:
    """Return `image` as opaque sRGB, transparency over white."""
    profile = image.info.get("icc_profile")
    colour, alpha = _split_alpha(_narrow(image))
    srgb = _to_srgb(colour, profile)
    if alpha is None:
        return srgb
    canvas = Image.new("RGB", srgb.size, "white")
    canvas.paste(srgb, mask=alpha)
    return canvas


def _narrow(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits, which Pillow's own conversion would clip."""
    if not image.mode.startswith("I;16"):
        return image
    samples = np.asarray(image).astype(np.uint32)
    grey = Image.fromarray(((samples * 255 + 32_767) // 65_535).astype(np.uint8))
    transparent = image.info.get("transparency")
    if transparent is not None:
        opaque = np.where(samples == transparent, 0, 255).astype(np.uint8)
        grey = Image.merge("LA", (grey, Image.fromarray(opaque)))
    return grey


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colour (L, RGB or CMYK) and, where there is transparency, the alpha (L)."""
    if image.mode == "LA":
        return image.getchannel("L"), image.getchannel("A")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return rgba.convert("RGB"), rgba.getchannel("A")
    if image.mode in _PROFILE_SPACE:
        return image, None
    return image.convert("RGB"), None


def _to_srgb(colour: Image.Image, profile: bytes | None) -> Image.Image:
    """Return `colour` as RGB, through its ICC profile where that is usable and not sRGB itself."""
    if profile and len(profile) <= _MAX_PROFILE_BYTES:
        try:
            converted = _through_profile(colour, profile)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            converted = None  # the picture is still good; most software shows it as sRGB, too
        if converted is not None:
            return converted
    return colour if colour.mode == "RGB" else colour.convert("RGB")


def _through_profile(colour: Image.Image, profile: bytes) -> Image.Image | None:
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    is_srgb = (source.profile.profile_description or "").startswith("sRGB")
    if is_srgb or source.profile.xcolor_space.strip() != _PROFILE_SPACE[colour.mode]:
        return None
    return ImageCms.profileToProfile(
        colour,
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _upright(rgb: Image.Image, original: Image.Image) -> Image.Image:
    """Turn `rgb` as the EXIF of the file it came from says; unreadable EXIF says nothing."""
    try:
        method = _UPRIGHT.get(original.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a parser on hostile bytes, and the picture is fine without it
        return rgb
    return rgb if method is None else rgb.transpose(method)
