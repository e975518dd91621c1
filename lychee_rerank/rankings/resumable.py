"""Several queries over the same files, resumable, in memory that hardly grows with the number of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import typer

from lychee_rerank.rankings.store import ImageFile, Journal, fingerprint, hash_file, journal_path, score_missing
from lychee_rerank.results import ImageScore, rank
from lychee_rerank.text.query import Query
from lychee_rerank.weights.locate import Checkpoint

if TYPE_CHECKING:
    from lychee_rerank.reranker import Reranker, ScoringOptions

# Pictures are taken in pieces: each query runs over a piece before the next piece is begun, so that what the model
# keeps of these pictures is used again. Pieces grow, so that the first score comes soon and later ones without a wait.
_FIRST_PIECE = 16
_PIECE_OF_ONE_QUERY = 256
_PIECE_OF_MANY = 64


JOURNAL_FOLDER = Path(typer.get_app_dir("lychee-rerank")) / "journal"


def journal_for(reranker: Reranker, query: Query, folder: Path, options: ScoringOptions | None = None) -> Path:
    """The name tells everything that can change a score: the prompt (query and instruction in it), fit and weights."""
    options = options or reranker.options
    prompt, weights = reranker.prompt_text(query, options=options), _weights(reranker.checkpoint)
    return journal_path(folder, prompt=prompt, method=options.method, fit=options.fit, weights=weights)


def _weights(checkpoint: Checkpoint) -> str:
    """Of a server nobody sees the weights: its address and the model's name stand for them."""
    if checkpoint.source == "server":
        return f"{checkpoint.path.as_posix()} {checkpoint.name}"
    return fingerprint(checkpoint.path)


class ResumableRun:
    """The rankings of `files` for each of `queries`; iterating scores what the journals do not hold yet.

    `fresh` forgets what they hold. Raises JournalError where another run works on one of them.
    """

    def __init__(
        self,
        reranker: Reranker,
        queries: Sequence[Query],
        files: Sequence[str],
        journals: Sequence[Path],
        *,
        options: ScoringOptions | None = None,
        fresh: bool = False,
    ) -> None:
        self._stream = partial(reranker.stream, options=options)
        self._queries = queries
        self._files = files
        self._keys: list[str | None] = []
        self._failed: list[dict[int, ImageScore]] = [{} for _ in queries]
        with ExitStack() as stack:
            # Queries that normalise to the same share a journal: the second finds every score in it.
            opened = {
                path: stack.enter_context(Journal(path, about={"query": query.text}, fresh=fresh))
                for path, query in dict(zip(journals, queries, strict=True)).items()
            }
            self._open = stack.pop_all()
        self._journals = [opened[path] for path in journals]

    def __enter__(self) -> ResumableRun:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def __iter__(self) -> Iterator[tuple[int, ImageScore]]:
        """The number of the query (from 0) and one picture's outcome, as they come."""
        for piece in self._pieces(_PIECE_OF_ONE_QUERY if len(self._queries) == 1 else _PIECE_OF_MANY):
            self._keys += [picture.key for picture in piece]
            for number, (query, journal) in enumerate(zip(self._queries, self._journals, strict=True)):
                for result in score_missing(piece, journal, partial(self._stream, query)):
                    if result.problem is not None:
                        self._failed[number][result.index] = result
                    yield number, result

    def _pieces(self, most: int) -> Iterator[list[ImageFile]]:
        """The pictures in order, the files of the next piece being read while this one is scored."""
        pictures = (ImageFile(index, path, hash_file(path)) for index, path in enumerate(self._files))
        with ThreadPoolExecutor(max_workers=1) as ahead:
            size = _FIRST_PIECE
            coming = ahead.submit(_taken, pictures, size)
            while piece := coming.result():
                size = min(size * 2, most)
                coming = ahead.submit(_taken, pictures, size)
                yield piece

    def ranking(self, number: int) -> list[ImageScore]:
        """The finished ranking of query `number`, best first."""
        journal, failed = self._journals[number], self._failed[number]
        return rank(
            failed[index] if index in failed else replace(journal.get(key or ""), index=index, name=self._files[index])
            for index, key in enumerate(self._keys)
        )


def _taken(pictures: Iterator[ImageFile], count: int) -> list[ImageFile]:
    return list(islice(pictures, count))
