"""Camera RAW files written by code: a Bayer sensor in a DNG, with previews of any kind or none."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

from support.images import encode
from support.tiffs import Page, gray_page, rgb_page, tiff

THUMBNAIL = rgb_page(Image.new("RGB", (256, 171), "red"), t254=1)
_RGGB = ((0, 1), (1, 2))
_WHITE = 4095
_ELSEWHERE = 0x12345678  # stands for an offset that is not known yet


def bayer_page(image: Image.Image, **tags: int) -> Page:
    """What a sensor with a Bayer filter (RGGB) and 12 bits sees of the image."""
    light = (np.asarray(image.convert("RGB")) / 255) ** 2.2 * _WHITE
    mosaic = np.empty(light.shape[:2], "<u2")
    for row, column in np.ndindex(2, 2):
        mosaic[row::2, column::2] = light[row::2, column::2, _RGGB[row][column]]
    page = gray_page(mosaic, t262=32803, t50717=_WHITE, **tags)
    page.tags |= {33421: (2, 2), 33422: bytes(_RGGB[0] + _RGGB[1])}
    return page


def linear_page(image: Image.Image) -> Page:
    """What a DNG holds whose colors are no longer a mosaic, as of a panorama."""
    light = ((np.asarray(image.convert("RGB")) / 255) ** 2.2 * 65535).astype("<u2")
    tags = {256: image.width, 257: image.height, 258: (16, 16, 16), 259: 1, 262: 34892, 277: 3, 278: image.height}
    return Page(tags, light.tobytes())


def preview_page(image: Image.Image, format: str = "JPEG", **tags: int) -> Page:
    """A JPEG in one strip, as DNG previews and the first page of a CR2 are stored."""
    numbers = {256: image.width, 257: image.height, 258: (8, 8, 8), 259: 7, 262: 6, 277: 3, 278: image.height}
    content = encode(image, format, quality=95)
    return Page(numbers | {int(name[1:]): value for name, value in tags.items()}, content)


def dng(sensor: Page, *previews: Page, orientation: int = 1, first: Page = THUMBNAIL) -> bytes:
    """A thumbnail first, as cameras and Adobe's converter write it; then previews, and the sensor's values last."""
    tags = first.tags | {274: orientation, 50706: bytes((1, 4, 0, 0))}
    elsewhere = Page(sensor.tags | {273: _ELSEWHERE, 279: len(sensor.strip)})
    head = tiff(Page(tags, first.strip, [elsewhere, *previews]))
    return head.replace(struct.pack("<I", _ELSEWHERE), struct.pack("<I", len(head))) + sensor.strip
