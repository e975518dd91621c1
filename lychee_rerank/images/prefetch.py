"""Images decoded a little ahead of the model in a few threads; what the model has cached is not decoded at all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from cachetools import LRUCache
from PIL import Image

from lychee_rerank.images.files import EncodedImage, UnusableImageError, default_name, read_image
from lychee_rerank.images.load import LoadedImage, image_key, load_image, placeholder
from lychee_rerank.images.resize import Fit

DECODING_THREADS = 2  # decoding releases the GIL, so it costs no scoring time
_MAX_NOTES = 20_000

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class CachedImage:
    """An image whose features the model has cached: like a good LoadedImage, but decoded only when `image` is read."""

    name: str
    notes: tuple[str, ...]
    key: str
    encoded: EncodedImage
    fit: Fit
    problem: None = None

    @property
    def image(self) -> Image.Image:
        return load_image(self.encoded, fit=self.fit).image


PreparedImage = LoadedImage | CachedImage
ImageSource = bytes | str | Path | EncodedImage | PreparedImage


class ImagePreprocessor:
    """Prepares images.

    has_features(key): whether the model has cached an image's features and needs no pixels.
    resize(image): the image in the size that the model takes.
    """

    def __init__(self, has_features: Callable[[str], bool], resize: Callable[[Image.Image], Image.Image]) -> None:
        self._has_features = has_features
        self._resize = resize
        self._notes: LRUCache[str, tuple[str, ...]] = LRUCache(_MAX_NOTES)
        self._lock = threading.Lock()  # reading an LRU cache reorders it, and `prepare` runs in several threads

    def prepare(self, source: ImageSource, fit: Fit) -> PreparedImage:
        """One prepared image; one that is prepared already is returned as it is. A bad image has its `.problem`."""
        if isinstance(source, PreparedImage):
            return source
        try:
            encoded = read_image(source)
        except UnusableImageError as error:
            return placeholder(default_name(source), error.problem)
        key = image_key(encoded.content_hash, fit=fit)
        with self._lock:
            notes = self._notes.get(key)
        if notes is not None and self._has_features(key):
            return CachedImage(encoded.name, notes, key, encoded, fit)
        loaded = load_image(encoded, fit=fit)
        with self._lock:
            self._notes[key] = loaded.notes
        return loaded if loaded.problem else replace(loaded, image=self._resize(loaded.image))

    def prefetch(
        self, sources: Iterable[ImageSource], fit: Fit, meanwhile: Callable[[], None] = lambda: None
    ) -> Generator[PreparedImage, None, None]:
        """The prepared images in order, a few prepared ahead; see `map_ahead`."""
        return map_ahead(partial(self.prepare, fit=fit), sources, meanwhile=meanwhile)


def map_ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int = DECODING_THREADS,
    meanwhile: Callable[[], None] = lambda: None,
) -> Generator[Result, None, None]:
    """`function` of each item in order, called in `threads` a few items ahead. Closing the generator ends the work.

    The first result is yielded before another item is taken: only `meanwhile`, which the caller's thread runs, shares
    the cores with it, and a slow source delays it by nothing. Then the lead grows by one item a result, up to
    `2 * threads`.
    """
    iterator = iter(items)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prepare")
    pending: deque[Future[Result]] = deque()
    limit = 2
    try:
        for item in islice(iterator, 1):
            first = pool.submit(function, item)
            meanwhile()
            yield first.result()
        for item in iterator:
            pending.append(pool.submit(function, item))
            if len(pending) >= limit:
                limit = min(limit + 1, 2 * threads)
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
