"""The first images decoded while the model is loaded, which leaves a core idle for seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

from lychee_rerank.images.load import LoadedImage, load_image
from lychee_rerank.images.resize import Fit

_MAX_IMAGES = 64  # 28 MB


@contextmanager
def decode_ahead(files: Sequence[str], fit: Fit) -> Iterator[dict[str, LoadedImage]]:
    """Until the body ends, one thread fills the dict that it is given; images with a problem are not in it."""
    decoded: dict[str, LoadedImage] = {}
    ended = Event()

    def decode() -> None:
        for file in files[:_MAX_IMAGES]:
            if ended.is_set():
                return
            image = load_image(file, fit=fit)
            if image.problem is None:
                decoded[file] = image

    thread = Thread(target=decode, name="decode-ahead", daemon=True)
    thread.start()
    try:
        yield decoded
    finally:
        ended.set()
        thread.join()
