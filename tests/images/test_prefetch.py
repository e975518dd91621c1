"""Images are prepared ahead in order, and not decoded when the model has cached their features."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from lychee_rerank.images.files import EncodedImage
from lychee_rerank.images.load import LoadedImage, load_image
from lychee_rerank.images.prefetch import CachedImage, ImagePreprocessor, map_ahead
from support.images import encode, patchwork

FILES = [encode(patchwork(seed, 40, 30)) for seed in range(12)]


def preprocessor_for(has_features: bool) -> ImagePreprocessor:
    """Of a model that has cached the features of all images, or of none."""
    return ImagePreprocessor(lambda _key: has_features, lambda image: image)


def test_something_else_is_done_while_the_first_image_is_prepared() -> None:
    started, resized = threading.Event(), threading.Event()

    def resize(image: Image.Image) -> Image.Image:
        assert started.wait(10)  # by the caller, who does not wait for this image
        resized.set()
        return image

    prepared = ImagePreprocessor(lambda _key: False, resize).prefetch(FILES[:2], "crop", started.set)
    assert [image.problem for image in prepared] == [None, None]
    assert resized.is_set()


def test_images_are_resized_as_the_model_takes_them() -> None:
    preprocessor = ImagePreprocessor(lambda _key: False, lambda image: image.resize((28, 56)))
    good, bad = preprocessor.prefetch([FILES[0], b"broken"], "crop")
    assert (good.image.size, bad.image.size) == ((28, 56), (384, 384))


def test_images_come_in_order_and_bad_ones_keep_their_position(tmp_path: Path) -> None:
    preprocessor = preprocessor_for(False)
    sources = [*FILES[:5], b"broken", tmp_path / "missing.png", *FILES[5:]]
    prepared = list(preprocessor.prefetch(sources, "crop"))
    assert [image.problem and image.problem.code for image in prepared[5:7]] == ["not_an_image", "not_found"]
    assert [image.name for image in prepared[5:7]] == ["picture", "missing.png"]
    assert [image.key for image in prepared[:5] + prepared[7:]] == [load_image(data).key for data in FILES]


def test_only_a_few_images_are_prepared_ahead() -> None:
    taken = []

    def sources() -> Iterator[bytes]:
        for index, data in enumerate(FILES):
            taken.append(index)
            yield data

    prepared = preprocessor_for(False).prefetch(sources(), "crop")
    ahead = [len(taken) - index for index, _ in zip(range(6), prepared, strict=False)]
    assert ahead == [1, 2, 3, 4, 4, 4]
    prepared.close()


def test_the_first_image_is_yielded_before_another_is_taken() -> None:
    def sources() -> Iterator[bytes]:
        yield FILES[0]
        pytest.fail("a source that takes its time would hold up the first image")

    prepared = preprocessor_for(False).prefetch(sources(), "crop")
    assert next(prepared).problem is None
    prepared.close()


def test_closing_ends_the_threads() -> None:
    before = set(threading.enumerate())
    prepared = preprocessor_for(False).prefetch(FILES, "crop")
    next(prepared)
    next(prepared)
    threads = set(threading.enumerate()) - before
    prepared.close()
    for thread in threads:
        thread.join(10)
    assert threads
    assert not any(thread.is_alive() for thread in threads)


def test_an_image_with_cached_features_is_not_decoded() -> None:
    preprocessor = preprocessor_for(True)
    first, second = (preprocessor.prepare(FILES[0], "whole") for _ in range(2))
    assert isinstance(first, LoadedImage)
    assert isinstance(second, CachedImage)
    assert (second.key, second.notes, second.name) == (first.key, first.notes, first.name)
    assert second.image.tobytes() == first.image.tobytes()


def test_an_image_whose_features_are_gone_is_decoded_again() -> None:
    preprocessor = preprocessor_for(False)
    assert all(isinstance(preprocessor.prepare(FILES[0], "crop"), LoadedImage) for _ in range(2))


def test_a_loaded_image_is_returned_as_it_is() -> None:
    loaded = load_image(FILES[0])
    assert preprocessor_for(True).prepare(loaded, "whole") is loaded


def test_an_image_that_was_prepared_before_is_returned_as_it_is() -> None:
    cached = CachedImage("a.png", (), "key", EncodedImage("a.png", FILES[0], "hash"), "crop")
    assert list(preprocessor_for(False).prefetch([cached], "whole")) == [cached]


def test_results_of_a_map_come_in_order_from_as_many_threads_as_are_asked_for() -> None:
    together = threading.Barrier(5)

    def wait(item: int) -> int:
        if item >= 10:  # by then the lead has grown to more than the threads
            together.wait(10)
        return item

    assert list(map_ahead(wait, range(30), threads=5)) == list(range(30))


def test_what_a_mapped_function_raises_is_raised_in_its_place() -> None:
    results = map_ahead(lambda item: 1 // item, [1, 1, 0, 1])
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
