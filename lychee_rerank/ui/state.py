"""What all tabs of the page share: images, the loaded model, the last rankings and a running download."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, Thread
from typing import TYPE_CHECKING, Literal

from lychee_rerank.errors import LycheeError
from lychee_rerank.images.resize import Fit
from lychee_rerank.rankings.archive import MAX_RANKINGS, LibraryImage, open_archive
from lychee_rerank.rankings.job import Job
from lychee_rerank.rankings.marks import Marks
from lychee_rerank.rankings.saved import saved_rankings
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION
from lychee_rerank.ui.library import Library, RankingJob
from lychee_rerank.weights.hub import is_http_url
from lychee_rerank.weights.locate import find_checkpoint

if TYPE_CHECKING:
    from lychee_rerank.weights.download import Download

logger = logging.getLogger(__name__)
LoadReranker = Callable[[str, float], Reranker]
_STOP_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Settings:
    """The settings of the sidebar. model: "auto", "demo", a folder, a hub id or a server's URL."""

    model: str = "auto"
    method: Literal["auto", "generate", "yes_no"] = "auto"
    instruction: str = ""
    reasons: bool = True
    conditions: bool = True
    normalize: bool = True
    fit: Fit = "crop"
    reserve_gib: float = 1.2


class AppState:
    """One for the process. `load(model, reserve_gib)` opens a reranker; it is called in worker threads."""

    def __init__(self, load: LoadReranker) -> None:
        self.archive = open_archive()
        self.library = Library(self.archive)
        self.marks = Marks(self.archive.database)
        self.jobs: list[RankingJob] = [*saved_rankings(self.archive)]
        self.reranker: Reranker | None = None
        self.download: Download | None = None
        self._load = load
        self._loaded_for: tuple[object, ...] = ()
        self._load_lock = Lock()
        self._warm_up_thread: Thread | None = None
        self._warmed_for: tuple[object, ...] = ()

    @property
    def job(self) -> RankingJob | None:
        """The latest ranking, running or ended."""
        return self.jobs[-1] if self.jobs else None

    @property
    def busy(self) -> bool:
        """Whether a ranking runs, or conditions of an earlier one are scored."""
        return any(job.active for job in self.jobs)

    def start(self, query: str, settings: Settings) -> None:
        """Rank all images of the library; a running ranking stops. Raises QueryError."""
        checked = ScoringOptions(normalize=settings.normalize).query(query)
        self.stop()
        self.library.keep_rest()
        images = self.library.images()
        job = Job(
            checked,
            images,
            lambda: self._open(settings),
            self.archive,
            explain=settings.reasons,
            score_conditions=settings.conditions,
        )
        self.jobs = [*self.jobs, job][-MAX_RANKINGS:]

    def stop(self) -> None:
        """Stop what runs; its scores stay."""
        for job in self.jobs:
            job.stop()

    def clear(self) -> None:
        """Remove images and rankings, what is kept of them except scores, and what the model has cached of them."""
        self.stop()
        self.library.clear()
        self.marks.clear()
        self.archive.clear((), [job.id for job in self.jobs])
        self.archive.database.shrink()
        self.jobs = []
        if reranker := self.reranker:
            reranker.clear_cache()

    def delete_all(self) -> None:
        """Remove everything, also all scores and settings that are kept. Raises StoreError where that fails."""
        job = self.job
        self.clear()
        if isinstance(job, Job):
            job.wait(_STOP_TIMEOUT_S)  # its last score is deleted too
        self.archive.delete_all()

    def warm_up(self, settings: Settings) -> None:
        """Load the model and encode new images in the background, while the person is still typing."""
        images = self.library.images()
        wanted = (settings.model, settings.reserve_gib, settings.fit, *(image.key for image in images))
        idle = self._warm_up_thread is None or not self._warm_up_thread.is_alive()
        if images and idle and not self.busy and not self.library.waiting and wanted != self._warmed_for:
            self._warmed_for = wanted
            self._warm_up_thread = Thread(target=self._encode, args=(images, settings), name="warm-up", daemon=True)
            self._warm_up_thread.start()

    def _encode(self, images: list[LibraryImage], settings: Settings) -> None:
        try:
            reranker, options = self._open(settings)
            for image in images:
                if self.busy:
                    return
                reranker.encode_image(image.source, options=options)
        except LycheeError as error:  # a ranking will meet it again and show it
            logger.warning("Warming up ended: %s", error)

    def _open(self, settings: Settings) -> tuple[Reranker, ScoringOptions]:
        """The reranker and the options; loads again where model or reserve changed or weights were downloaded."""
        wanted = (settings.model, settings.reserve_gib, self.download and self.download.status().checkpoint)
        with self._load_lock:
            if self.reranker is None or self._loaded_for != wanted:
                if not is_http_url(settings.model):
                    find_checkpoint(settings.model)  # raises while the loaded model is still there
                self.reranker = None  # frees its memory before the new one is loaded
                self.reranker, self._loaded_for = self._load(settings.model, settings.reserve_gib), wanted
            reranker = self.reranker
        method = reranker.method if settings.method == "auto" else settings.method
        instruction = settings.instruction.strip() or DEFAULT_INSTRUCTION
        return reranker, ScoringOptions(method, instruction, settings.fit, settings.normalize)
