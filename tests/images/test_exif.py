"""What a camera wrote into a file is read from every kind of file, and damage or tricks in it do nothing."""

from __future__ import annotations

import struct
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

from lychee_rerank.images.exif import ExifFacts, read_exif, read_place
from support.images import encode
from support.tiffs import sensor_page, tiff

PHOTO = {
    Base.DateTimeOriginal: "2024:05:06 07:08:09",
    Base.LensModel: "RF50mm F1.8 STM",
    Base.FocalLength: IFDRational(50),
    Base.FNumber: IFDRational(18, 10),
    Base.ExposureTime: IFDRational(1, 200),
    Base.ISOSpeedRatings: 100,
}
SHANGHAI = {
    GPS.GPSLatitudeRef: "N",
    GPS.GPSLatitude: (IFDRational(31), IFDRational(14), IFDRational(2472, 100)),
    GPS.GPSLongitudeRef: "E",
    GPS.GPSLongitude: (IFDRational(121), IFDRational(29), IFDRational(2976, 100)),
}
EXPOSURE = "50 mm, f/1.8, 1/200 s, ISO 100"
FACTS = ExifFacts(datetime(2024, 5, 6, 7, 8, 9), "Canon EOS R5", "RF50mm F1.8 STM", EXPOSURE, has_place=True)


def exif(
    main: dict[int, object] | None = None, photo: dict[int, object] = PHOTO, gps: dict[int, object] = SHANGHAI
) -> Image.Exif:
    """By default of a picture taken in Shanghai, with a date of its last change too."""
    written = Image.Exif()
    written.endian = "<"
    changed = {Base.Make: "Canon", Base.Model: "Canon EOS R5", Base.DateTime: "2025:01:01 00:00:00"}
    for tag, value in (changed if main is None else main).items():
        written[tag] = value
    written[IFD.Exif], written[IFD.GPSInfo] = photo, gps
    return written


def jpeg(*directories: dict[int, object]) -> bytes:
    return encode(Image.new("RGB", (8, 6)), "JPEG", exif=exif(*directories).tobytes())


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "MPO"])
def test_every_format_with_exif_tells_when_with_what_and_where(format: str) -> None:
    data = encode(Image.new("RGB", (64, 48)), format, exif=exif().tobytes())
    assert read_exif(data) == FACTS
    assert read_place(data) == pytest.approx((31.2402, 121.4916))


@pytest.mark.parametrize("magic", [b"II*\0", b"IIRO", b"IIRS", b"IIU\0"])
def test_raw_files_in_tiff_form_are_read_whatever_their_first_bytes(magic: bytes) -> None:
    assert read_exif(magic + exif().tobytes()[10:]) == FACTS


def test_a_fujifilm_raw_file_tells_what_its_jpeg_does() -> None:
    preview = jpeg()
    header = b"FUJIFILMCCD-RAW".ljust(84, b"\0") + struct.pack(">II", 160, len(preview))
    assert read_exif(header.ljust(160, b"\0") + preview + b"\0" * 9) == FACTS


def test_a_canon_cr3_has_a_box_for_each_directory() -> None:
    data = b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"
    main, photo, gps = exif(), Image.Exif(), Image.Exif()
    photo.update(PHOTO)
    gps.update(SHANGHAI)
    for name, directory in ((b"CMT1", main), (b"CMT2", photo), (b"CMT4", gps)):
        content = directory.tobytes().removeprefix(b"Exif\0\0")
        data += struct.pack(">I", 8 + len(content)) + name + content
    assert read_exif(data) == FACTS
    assert read_place(data) == pytest.approx((31.2402, 121.4916))


def test_no_pixel_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = [encode(Image.new("RGB", (64, 48)), format) for format in ("PNG", "JPEG", "WEBP", "TIFF", "HEIF")]
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("decoded"))
    assert [read_exif(file) for file in data] == [ExifFacts()] * 5


def test_a_phone_picture_of_200_megapixels_is_read() -> None:
    data = bytearray(jpeg())
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", 12240, 16320)
    assert read_exif(bytes(data)) == FACTS


@pytest.mark.parametrize(
    ("maker", "model", "camera"),
    [
        ("NIKON CORPORATION", "NIKON D850", "NIKON D850"),
        ("samsung", "SM-G991B", "samsung SM-G991B"),
        ("OM Digital Solutions", "OM-1", "OM-1"),
        ("", "C-3", "C-3"),
        ("Apple", "", "Apple"),
        ("Canon\0\0\0rest", " EOS\x1b[31m R5 ", "Canon EOS[31m R5"),
        ("x" * 999, "", "x" * 100),
    ],
)
def test_a_camera_is_named_once_printably_and_shortly(maker: str, model: str, camera: str) -> None:
    assert read_exif(jpeg({Base.Make: maker, Base.Model: model})).camera == camera


@pytest.mark.parametrize(
    ("photo", "exposure"),
    [
        ({Base.ExposureTime: IFDRational(13, 10)}, "1.3 s"),
        ({Base.ExposureTime: IFDRational(30)}, "30 s"),
        ({Base.FocalLength: IFDRational(425, 100), Base.FNumber: IFDRational(8)}, "4.25 mm, f/8"),
        ({Base.FNumber: IFDRational(22)}, "f/22"),
        ({Base.FocalLength: IFDRational(0, 0), Base.ExposureTime: IFDRational(0), Base.ISOSpeedRatings: (0, 0)}, ""),
        ({}, ""),
    ],
)
def test_an_exposure_is_written_as_photographers_do(photo: dict[int, object], exposure: str) -> None:
    assert read_exif(jpeg({}, photo, {})).exposure == exposure


@pytest.mark.parametrize("original", ["0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday"])
def test_the_date_of_the_last_change_stands_in_where_there_is_no_other(original: str) -> None:
    photo = {Base.DateTimeOriginal: original}
    assert read_exif(jpeg({Base.DateTime: "2025:01:02 03:04:05"}, photo)).taken == datetime(2025, 1, 2, 3, 4, 5)
    assert read_exif(jpeg({}, photo)).taken is None


def test_south_and_west_are_negative() -> None:
    gps = SHANGHAI | {GPS.GPSLatitudeRef: "S", GPS.GPSLongitudeRef: "W"}
    assert read_place(jpeg({}, {}, gps)) == pytest.approx((-31.2402, -121.4916))


ZEROS = (IFDRational(0),) * 3


@pytest.mark.parametrize(
    "wrong",
    [
        {GPS.GPSLatitude: ZEROS, GPS.GPSLongitude: ZEROS},
        {GPS.GPSLatitude: (IFDRational(91), *ZEROS[1:])},
        {GPS.GPSLongitude: (IFDRational(0, 0),) * 3},
        {GPS.GPSLongitude: IFDRational(1)},
    ],
)
def test_a_position_that_is_none_is_not_offered(wrong: dict[int, object]) -> None:
    data = jpeg({Base.Model: "C-3"}, PHOTO, SHANGHAI | wrong)
    assert read_place(data) is None
    assert read_exif(data) == ExifFacts(FACTS.taken, "C-3", FACTS.lens, EXPOSURE)


FILES = (jpeg(), encode(Image.new("RGB", (8, 6)), "TIFF", exif=exif().tobytes()), tiff(sensor_page(8, 6)))


@pytest.mark.filterwarnings("ignore")  # Pillow's
@given(st.data())
def test_damaged_files_raise_nothing(data: st.DataObject) -> None:
    file = bytearray(data.draw(st.sampled_from(FILES)))
    for _ in range(data.draw(st.integers(0, 8))):
        file[data.draw(st.integers(0, min(len(file), 700) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(file[: data.draw(st.integers(0, len(file)))])
    facts = read_exif(damaged)
    assert facts.has_place == (read_place(damaged) is not None)
    assert all(text.isprintable() and len(text) <= 201 for text in (facts.camera, facts.lens, facts.exposure))
