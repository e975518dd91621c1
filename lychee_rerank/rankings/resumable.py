"""Several queries over the same files, resumable, in memory that hardly grows with the number of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Self

from lychee_rerank.rankings.store import ImageFile, Journal, fingerprint, hash_file, journal_path, score_missing
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.results import ImageScore, rank
from lychee_rerank.text.query import Query

# Each query scores a whole batch before the next batch is read, so that the image features cached for the first query
# serve the others. Batches grow: the first score comes soon, and hashing the files of the next one costs no wait.
_FIRST_BATCH = 16
_MAX_BATCH_ONE_QUERY = 256
_MAX_BATCH_MANY_QUERIES = 64


def journal_for(reranker: Reranker, query: Query, folder: Path, options: ScoringOptions | None = None) -> Path:
    """The journal of one ranking. Its name depends on all that can change a score: the prompt, which contains query
    and instruction, and the method, fit and weights.
    """
    options, checkpoint = options or reranker.options, reranker.checkpoint
    if checkpoint.source == "server":  # whose weights cannot be read
        weights = f"{checkpoint.url} {checkpoint.name}"
    else:
        weights = fingerprint(checkpoint.path)
    prompt = reranker.prompt_text(query, options=options)
    return journal_path(folder, prompt=prompt, method=options.method, fit=options.fit, weights=weights)


class ResumableRun:
    """The rankings of `files` for each of `queries`; iterating scores what the journals in `folder` do not hold yet.

    `fresh` discards what they hold. Raises JournalError where another run has one of them open.
    """

    def __init__(
        self,
        reranker: Reranker,
        queries: Sequence[Query],
        files: Sequence[str],
        folder: Path,
        *,
        options: ScoringOptions | None = None,
        fresh: bool = False,
    ) -> None:
        self._stream = partial(reranker.stream, options=options)
        self._queries = queries
        self._files = files
        self._keys: list[str | None] = []
        self._failed: list[dict[int, ImageScore]] = [{} for _ in queries]
        paths = [journal_for(reranker, query, folder, options) for query in queries]
        with ExitStack() as stack:
            # Queries that are the same once normalized share a journal: the second finds every score in it.
            journals = {
                path: stack.enter_context(Journal(path, about={"query": query.text}, fresh=fresh))
                for path, query in dict(zip(paths, queries, strict=True)).items()
            }
            self._resources = stack.pop_all()
        self._journals = [journals[path] for path in paths]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def __iter__(self) -> Iterator[tuple[int, ImageScore]]:
        """The index of the query and the result of one image, as they come."""
        for batch in self._batches(_MAX_BATCH_ONE_QUERY if len(self._queries) == 1 else _MAX_BATCH_MANY_QUERIES):
            self._keys += [file.key for file in batch]
            for index, (query, journal) in enumerate(zip(self._queries, self._journals, strict=True)):
                for result in score_missing(batch, journal, partial(self._stream, query)):
                    if result.problem is not None:
                        self._failed[index][result.index] = result
                    yield index, result

    def _batches(self, max_size: int) -> Iterator[list[ImageFile]]:
        """The files in order, those of the next batch being hashed while this one is scored."""
        files = (ImageFile(index, path, hash_file(path)) for index, path in enumerate(self._files))
        with ThreadPoolExecutor(max_workers=1) as pool:
            size = _FIRST_BATCH
            upcoming = pool.submit(list, islice(files, size))
            while batch := upcoming.result():
                size = min(size * 2, max_size)
                upcoming = pool.submit(list, islice(files, size))
                yield batch

    def ranking(self, index: int) -> list[ImageScore]:
        """The finished ranking of the query at `index`, best first."""
        journal, failed = self._journals[index], self._failed[index]
        return rank(
            failed.get(position) or replace(journal.get(key or ""), index=position, name=self._files[position])
            for position, key in enumerate(self._keys)
        )
