"""Images are prepared ahead in order, and not decoded when the model has cached their features."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lychee_rerank.images.files import EncodedImage
from lychee_rerank.images.load import LoadedImage, load_image
from lychee_rerank.images.prefetch import CachedImage, ImagePreprocessor, map_ahead
from support.images import encode, patchwork

FILES = [encode(patchwork(seed, 40, 30)) for seed in range(12)]


def test_images_come_in_order_and_bad_ones_keep_their_position(tmp_path: Path) -> None:
    preprocessor = ImagePreprocessor(lambda key: False)
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

    prepared = ImagePreprocessor(lambda key: False).prefetch(sources(), "crop")
    next(prepared)
    assert len(taken) == 4
    prepared.close()


def test_closing_ends_the_threads() -> None:
    before = set(threading.enumerate())
    prepared = ImagePreprocessor(lambda key: False).prefetch(FILES, "crop")
    next(prepared)
    threads = set(threading.enumerate()) - before
    prepared.close()
    for thread in threads:
        thread.join(10)
    assert threads
    assert not any(thread.is_alive() for thread in threads)


def test_an_image_with_cached_features_is_not_decoded() -> None:
    preprocessor = ImagePreprocessor(lambda key: True)
    first, second = (preprocessor.prepare(FILES[0], "whole") for _ in range(2))
    assert isinstance(first, LoadedImage)
    assert isinstance(second, CachedImage)
    assert (second.key, second.notes, second.name) == (first.key, first.notes, first.name)
    assert second.image.tobytes() == first.image.tobytes()


def test_an_image_whose_features_are_gone_is_decoded_again() -> None:
    preprocessor = ImagePreprocessor(lambda key: False)
    assert all(isinstance(preprocessor.prepare(FILES[0], "crop"), LoadedImage) for _ in range(2))


def test_a_loaded_image_is_returned_as_it_is() -> None:
    loaded = load_image(FILES[0])
    assert ImagePreprocessor(lambda key: True).prepare(loaded, "whole") is loaded


def test_an_image_that_was_prepared_before_is_returned_as_it_is() -> None:
    cached = CachedImage("a.png", (), "key", EncodedImage("a.png", FILES[0], "hash"), "crop")
    assert list(ImagePreprocessor(lambda key: False).prefetch([cached], "whole")) == [cached]


def test_results_of_a_map_come_in_order_from_as_many_threads_as_are_asked_for() -> None:
    together = threading.Barrier(5)
    assert list(map_ahead(lambda item: together.wait(10) * 0 + item, range(20), threads=5)) == list(range(20))


def test_what_a_mapped_function_raises_is_raised_in_its_place() -> None:
    results = map_ahead(lambda item: 1 // item, [1, 1, 0, 1])
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
