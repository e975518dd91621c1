"""Any Pillow mode becomes 8-bit sRGB: color profiles, transparency, high bit depths, Lab and CMYK."""

from __future__ import annotations

import io
import math

from PIL import Image, ImageCms, ImageOps


def to_rgb(image: Image.Image, profile: bytes | None, white_is_zero: bool = False) -> tuple[Image.Image, str | None]:
    """RGB on white, and the note on what was done to the pixels, if anything.

    `profile` is the embedded ICC profile; `white_is_zero`: whether gray of more than 8 bits is stored as a negative.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        gray = to_8bit(image)
        return (ImageOps.invert(gray) if white_is_zero else gray).convert("RGB"), "high_bit_depth_reduced"
    if image.mode == "LAB":
        return _lab_to_rgb(image), None
    if image.mode == "CMYK":
        return apply_icc_profile(image, profile) or image.convert("RGB"), "cmyk_converted"
    note = None
    if image.has_transparency_data:
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            note = "alpha_flattened"
    rgb = image.convert("RGB")
    return apply_icc_profile(rgb, profile) or rgb, note


def apply_icc_profile(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """RGB or CMYK pixels converted to sRGB; wide-gamut photos (Display P3, Adobe RGB) look dull without it.

    None where nothing is to be converted: no profile, a broken one, one for other channels, or sRGB itself.
    """
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        description = source.profile.profile_description or ""
        is_srgb = "sRGB" in description and "Linear" not in description  # GIMP has a linear one that names sRGB too
        if source.profile.xcolor_space.strip() != image.mode or is_srgb:
            return None
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # a broken profile
        return None


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image.convert("L").convert("RGB")


def to_8bit(image: Image.Image) -> Image.Image:
    """16-bit and floating-point gray ("I", "I;16", "F") scaled to "L" instead of clipped.

    Scanners and X-ray cameras store 12 bits in 16, which the full 16-bit range would make nearly black.
    """
    gray = image.convert("F")
    low, high = (float(value) for value in gray.getextrema())  # type: ignore[arg-type]
    if not (math.isfinite(low) and math.isfinite(high)):
        gray = _finite(gray)
        low, high = (float(value) for value in gray.getextrema())  # type: ignore[arg-type]
    if image.mode.startswith("I") and 0 <= low and 255 < high <= 65535:
        low, high = 0.0, 4095.0 if high <= 4095 else 65535.0
    elif 0 <= low and high <= 255 and not (image.mode == "F" and high <= 1):
        low, high = 0.0, 255.0
    scale = 255.0 / (high - low) if high > low else 0.0
    return gray.point(lambda value: value * scale + (0.0 - low * scale)).convert("L")


def _finite(gray: Image.Image) -> Image.Image:
    """Infinity as the greatest value, everything else that is no number as the least."""
    import numpy as np  # which adds warning filters when it is imported

    values = np.asarray(gray)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return Image.fromarray(np.nan_to_num(values, nan=low, posinf=high, neginf=low))
