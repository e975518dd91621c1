"""Pictures prepared a little ahead of the model, in a small pool of threads: decoding releases the interpreter, so it
costs no scoring time. A picture whose image tokens the model has kept is not decoded at all.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lychee_rerank.errors import PictureProblem
from lychee_rerank.images.load import Fit, LoadedImage, content_hash, image_key, load_image, read_bytes

_THREADS = 2
_AHEAD = 4  # pictures in hand at any time, however many are to come
_REMEMBERED = 20_000

ImageSource = bytes | str | Path | LoadedImage


@dataclass(frozen=True)
class CachedImage:
    """A picture whose image tokens the model has kept: like a good LoadedImage, but decoded only if it is needed after
    all.
    """

    name: str
    notes: tuple[str, ...]
    key: str
    data: bytes
    fit: Fit
    problem: None = None

    @property
    def image(self) -> Image.Image:
        return load_image(self.data, fit=self.fit).image


PreparedImage = LoadedImage | CachedImage


class ImagePreprocessor:
    """Turns sources into pictures. `known(key)` says that the model needs no pixels of a picture any more."""

    def __init__(self, known: Callable[[str], bool]) -> None:
        self._known = known
        self._notes: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    def prepare(self, source: ImageSource, fit: Fit) -> PreparedImage:
        """One prepared picture; a LoadedImage is taken as it is."""
        if isinstance(source, LoadedImage):
            return source
        name = "picture" if isinstance(source, bytes) else Path(source).name
        data = read_bytes(source)
        if isinstance(data, PictureProblem):
            return load_image(source, fit=fit)
        key = image_key(content_hash(data), fit=fit)
        if key in self._notes and self._known(key):
            return CachedImage(name, self._notes[key], key, data, fit)
        loaded = load_image(data, name=name, fit=fit)
        if loaded.problem is None:
            self._remember(key, loaded.notes)
        return loaded

    @contextmanager
    def prefetch(self, sources: Iterable[ImageSource], fit: Fit) -> Iterator[Iterator[PreparedImage]]:
        """The prepared pictures in order, a few prepared ahead; leaving the context ends the work."""
        pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="prepare")
        try:
            yield self._in_order(pool, sources, fit)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _in_order(self, pool: ThreadPoolExecutor, sources: Iterable[ImageSource], fit: Fit) -> Iterator[PreparedImage]:
        waiting: deque[Future[PreparedImage]] = deque()
        for source in sources:
            waiting.append(pool.submit(self.prepare, source, fit))
            if len(waiting) >= _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _remember(self, key: str, notes: tuple[str, ...]) -> None:
        self._notes[key] = notes
        while len(self._notes) > _REMEMBERED:
            self._notes.popitem(last=False)
