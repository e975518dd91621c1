"""Near duplicates by the features of the demo checkpoint's vision tower: copies fold, other pictures do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance, ImageOps

from lychee_rerank.images.load import load_image
from lychee_rerank.model.image_cache import ImageFeatureCache
from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.weights.locate import DEMO_FOLDER
from support.images import encode, patchwork

SAMPLES = sorted((DEMO_FOLDER.parent / "samples").glob("*.jpg"))
OTHERS = [(DEMO_FOLDER.parent / "samples" / f"{name}.jpg").read_bytes() for name in ("airplane", "pizza", "rocket")]
BICYCLE = Image.open(DEMO_FOLDER.parent / "samples" / "bicycle.jpg").convert("RGB")


@pytest.fixture(scope="module")
def model() -> VisionLanguageModel:
    return load_model(DEMO_FOLDER, dtype="float32", device_map="cpu")[0]


def groups(
    model: VisionLanguageModel, images: Sequence[bytes | Path], *, whole: bool = False
) -> tuple[tuple[int, ...], ...]:
    loaded = [load_image(image, fit="whole" if whole else "crop") for image in images]
    for image in loaded:
        model.encode_image(image)
    return model.near_duplicates([image.key for image in loaded])


def scaled(image: Image.Image, factor: float) -> bytes:
    return encode(image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS))


def with_sun(image: Image.Image) -> bytes:
    image = image.copy()
    image.paste("yellow", (20, 20, 140, 140))
    return encode(image)


def recolored(image: Image.Image) -> bytes:
    red, green, blue = image.split()
    return encode(Image.merge("RGB", (blue, red, green)))


@pytest.mark.parametrize(
    "copy",
    [
        lambda image: scaled(image, 0.5),
        lambda image: scaled(image, 1.5),
        lambda image: encode(image, "JPEG", quality=60),
        lambda image: encode(ImageEnhance.Brightness(image).enhance(1.05)),
    ],
    ids=["half", "larger", "jpeg", "brighter"],
)
@pytest.mark.parametrize("others", [[], OTHERS], ids=["alone", "among others"])
def test_a_copy_is_alike(model: VisionLanguageModel, copy: Callable[[Image.Image], bytes], others: list[bytes]) -> None:
    assert groups(model, [encode(BICYCLE), *others, copy(BICYCLE)]) == ((0, len(others) + 1),)


def test_a_crop_by_little_is_alike_among_others(model: VisionLanguageModel) -> None:
    assert groups(model, [encode(BICYCLE), *OTHERS, encode(ImageOps.crop(BICYCLE, 6))]) == ((0, 4),)


@pytest.mark.parametrize("change", [with_sun, recolored, lambda image: encode(ImageOps.crop(image, 96))])
def test_a_changed_picture_is_not_alike(model: VisionLanguageModel, change: Callable[[Image.Image], bytes]) -> None:
    assert groups(model, [encode(BICYCLE), *OTHERS, change(BICYCLE)]) == ()


def test_no_two_samples_are_alike(model: VisionLanguageModel) -> None:
    assert len(SAMPLES) == 28
    assert groups(model, SAMPLES) == ()


def test_whole_images_of_other_proportions_are_not_alike(model: VisionLanguageModel) -> None:
    stretched = encode(BICYCLE.resize((480, 480)))
    assert groups(model, [encode(BICYCLE), stretched, *OTHERS, scaled(BICYCLE, 0.5)], whole=True) == ((0, 5),)


def test_plain_images_are_alike_only_where_they_are_the_same(model: VisionLanguageModel) -> None:
    plain = [encode(Image.new("RGB", size, color)) for size, color in (((64, 64), "red"), ((64, 64), "blue"))]
    assert groups(model, [*plain, encode(Image.new("RGB", (96, 96), "red"))]) == ((0, 2),)


def test_images_without_cached_features_are_in_no_group(model: VisionLanguageModel) -> None:
    model.clear_cache()
    key = load_image(encode(BICYCLE)).key
    assert model.near_duplicates([key, key]) == ()
    model.encode_image(load_image(encode(BICYCLE)))
    assert model.near_duplicates(["missing", key, "missing", key]) == ((1, 3),)
    assert ImageFeatureCache().near_duplicates([key]) == ()


def test_the_same_images_are_grouped_once(model: VisionLanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [encode(BICYCLE), encode(BICYCLE.resize((300, 300)))]
    first = groups(model, files)
    monkeypatch.setattr("lychee_rerank.model.image_cache.group_near_duplicates", lambda _: pytest.fail("again"))
    assert groups(model, files) == first


def test_copies_are_alike_and_others_are_not_with_random_weights(checkpoint: Path) -> None:
    random_model, _ = load_model(checkpoint, dtype="float32", device_map="cpu")
    images = [encode(patchwork(seed)) for seed in range(4)]
    assert groups(random_model, [*images, scaled(patchwork(2), 0.5)]) == ((2, 4),)
