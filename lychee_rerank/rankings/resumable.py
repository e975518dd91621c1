"""Rankings that score only what the store does not hold, in memory that hardly grows with the number of images."""

from __future__ import annotations

import logging
from array import array
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from lychee_rerank.images.files import UnusableImageError, read_image
from lychee_rerank.images.load import LoadedImage, placeholder
from lychee_rerank.images.prefetch import PreparedImage, map_ahead
from lychee_rerank.rankings.store import KeptScores, ScoreStore, score_settings
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.results import ImageScore, ScoringMethod
from lychee_rerank.text.query import Query

logger = logging.getLogger(__name__)

# What is missing of a batch is scored in one stream, and with several queries each scores a batch before the next one
# is read, so that the image features cached for the first query serve the others: 64 prepared images take 28 MB.
_BATCH_ONE_QUERY = 256
_BATCH_MANY_QUERIES = 64
_NOT_SCORED = -1.0


class NamedSource(NamedTuple):
    """An image to rank: its name in the ranking, and its bytes or its path."""

    name: str
    source: bytes | str | Path | LoadedImage


class ResumableRun:
    """The rankings of `images` for each of `queries`; iterating scores what the store does not hold yet.

    `fresh` scores everything again. A file is read once: whatever happens to it later, its score and its place in the
    ranking belong to what was read. keys: the content hashes of the images read so far, in the order of the input; ""
    for one that could not be read.
    """

    def __init__(
        self,
        reranker: Reranker,
        queries: Sequence[Query],
        images: Sequence[NamedSource],
        store: ScoreStore,
        *,
        options: ScoringOptions | None = None,
        fresh: bool = False,
    ) -> None:
        self._reranker = reranker
        self._queries = queries
        self._images = images
        self._options = options
        kept = (store.scores(score_settings(reranker, query, options), fresh=fresh) for query in queries)
        method = (options or reranker.options).method
        self._rankings = [_Ranking(index, scores, method) for index, scores in enumerate(kept)]
        self.keys: list[str] = []

    @property
    def scored(self) -> int:
        """How many results the model gave in this run; the others were kept from before."""
        return sum(ranking.scored for ranking in self._rankings)

    @property
    def settings(self) -> tuple[str, ...]:
        """The digests of the settings of each query's scores."""
        return tuple(ranking.scores.digest for ranking in self._rankings)

    def __iter__(self) -> Generator[tuple[int, ImageScore], None, None]:
        """The index of the query and the result of one image, as they come."""
        with closing(map_ahead(self._read, enumerate(self._images), threads=self._reranker.decoding_threads)) as images:
            for batch in self._batches(images):
                read: list[_ReadImage] = []
                for index, ranking in enumerate(self._rankings):
                    stream = partial(self._reranker.stream, self._queries[index], options=self._options)
                    source = read if index else self._record(batch, read)
                    for position, result in ranking.score(source, stream):
                        yield index, replace(result, index=position, name=self._images[position].name)

    def ranking(self, index: int) -> Iterator[ImageScore]:
        """The ranking of the query at `index`, best first; ties keep the input order, images without a score end it."""
        ranking = self._rankings[index]
        order = sorted(range(len(ranking.values)), key=lambda position: -ranking.values[position])
        for rank, position in enumerate(order, start=1):
            result = ranking.result(position, self.keys[position])
            yield replace(result, index=position, name=self._images[position].name, rank=rank)

    def update(self, result: ImageScore) -> None:
        """Keep the completed answer of a result of the first query."""
        self._rankings[0].update(result, self.keys[result.index])

    def _batches(self, images: Iterator[_ReadImage]) -> Iterator[Iterator[_ReadImage]]:
        size = _BATCH_ONE_QUERY if len(self._queries) == 1 else _BATCH_MANY_QUERIES
        return (chain([first], islice(images, size - 1)) for first in images)

    def _record(self, batch: Iterator[_ReadImage], read: list[_ReadImage]) -> Iterator[_ReadImage]:
        """The images one by one, so that the next are read while one is scored; `read` keeps them for other queries."""
        for image in batch:
            self.keys.append(image.key)
            if len(self._queries) > 1:
                read.append(image)
            yield image

    def _read(self, indexed: tuple[int, NamedSource]) -> _ReadImage:
        index, (name, source) = indexed
        try:
            image = source if isinstance(source, LoadedImage) else read_image(source)
        except UnusableImageError as error:
            return _ReadImage(index, "", (None,) * len(self._rankings), placeholder(name, error.problem))
        key = image.content_hash
        kept = tuple(ranking.scores.get(key) if key else None for ranking in self._rankings)
        prepared = None if all(kept) else self._reranker.prepare(image, options=self._options)
        return _ReadImage(index, key, kept, prepared)


@dataclass(frozen=True)
class _ReadImage:
    """An image that was read once: `key` is the hash of what was read ("" where it could not be), `kept` its kept
    scores for each query, `prepared` the image, None where every score is kept.
    """

    index: int
    key: str
    kept: tuple[ImageScore | None, ...]
    prepared: PreparedImage | None


class _Pending(NamedTuple):
    """An image whose result has not been yielded: `result` where it has one, else it waits for its own (`is_scored`)
    or for that of an equal image before it.
    """

    position: int
    key: str
    result: ImageScore | None
    is_scored: bool


class _Ranking:
    """One query's scores of the images so far. Memory holds a number for each, not the result."""

    def __init__(self, index: int, scores: KeptScores, method: ScoringMethod) -> None:
        self.scores = scores
        self.values = array("d")  # by position in the input
        self.scored = 0
        self._index = index
        self._method = method
        self._unkept: dict[str | int, ImageScore] = {}  # what the store does not hold, by key or position: failures
        self._is_incomplete = False

    def score(
        self, images: Iterable[_ReadImage], stream: Callable[[Iterable[PreparedImage]], Generator[ImageScore]]
    ) -> Iterator[tuple[int, ImageScore]]:
        """(position, result) of every image in input order; those without a score go through `stream`, once each."""
        pending: deque[_Pending] = deque()
        new: dict[str, ImageScore] = {}
        with closing(stream(self._missing(images, pending))) as results:
            for scored in chain(results, [None]):  # None, because images that need no scoring may come last
                while pending and (scored or not pending[0].is_scored):
                    position, key, kept, is_scored = pending.popleft()
                    if scored and is_scored:
                        new[key] = scored
                        self._keep(position, key, scored)
                        self.scored += 1
                        scored = None
                    result = kept or new[key]
                    self.values.append(_NOT_SCORED if result.problem else result.score)
                    yield position, result

    def result(self, position: int, key: str) -> ImageScore:
        """The result of an image; if its score was deleted meanwhile, or can no longer be read, only the number."""
        if found := self._find(key, position):
            return found
        if not self._is_incomplete:
            logger.warning("Kept scores were deleted or cannot be read any more: answers and notes are missing.")
            self._is_incomplete = True
        score = self.values[position]
        return ImageScore(0, "", score, self._method, probability=score / 10 if self._method == "yes_no" else None)

    def update(self, result: ImageScore, key: str) -> None:
        """Keep the completed answer of a result; one without a score is kept by nobody."""
        if result.problem is None:
            self._unkept.pop(key, None)
            self._keep(result.index, key, result, replace=True)

    def _missing(self, images: Iterable[_ReadImage], pending: deque[_Pending]) -> Iterator[PreparedImage]:
        """The prepared images without a score, each of equal ones once; every image goes into `pending`."""
        in_flight: set[str] = set()
        for image in images:
            key = image.key
            kept = image.kept[self._index] or self._find(key, image.index)
            is_scored = kept is None and image.prepared is not None and key not in in_flight
            pending.append(_Pending(image.index, key, kept, is_scored))
            if is_scored and image.prepared:
                in_flight |= {key} - {""}
                yield image.prepared

    def _find(self, key: str, position: int) -> ImageScore | None:
        return self._unkept.get(key or position) or (self.scores.get(key) if key else None)

    def _keep(self, position: int, key: str, result: ImageScore, *, replace: bool = False) -> None:
        keep = self.scores.update if replace else self.scores.add
        if result.problem or not key or not keep(key, result):
            self._unkept[key or position] = result
