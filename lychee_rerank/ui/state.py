"""What the whole process shares: pictures, the loaded model, the running ranking and the last ones. Tabs come and go;
this stays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from lychee_rerank.errors import LycheeError
from lychee_rerank.images.load import Fit
from lychee_rerank.rankings.job import Job
from lychee_rerank.reranker import ScoringOptions
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION
from lychee_rerank.text.query import normalize_query, raw_query
from lychee_rerank.ui.library import Item, Library
from lychee_rerank.weights.locate import find_checkpoint

if TYPE_CHECKING:
    from lychee_rerank.weights.download import Download

logger = logging.getLogger(__name__)
_RANKINGS_KEPT = 12


@dataclass(frozen=True)
class Settings:
    """What the sidebar says."""

    model: str = "auto"
    method: str = "auto"
    instruction: str = ""
    reasons: bool = True
    normalize: bool = True
    fit: Fit = "crop"
    reserve_gib: float = 1.2


def is_address(model: str) -> bool:
    """Whether a server scores, and not a model on this machine."""
    return model.startswith(("http://", "https://"))


class Desk:
    """One for the process. `load(model, reserve_gib)` opens a reranker; it is called in worker threads."""

    def __init__(self, load: Callable[[str, float], Any]) -> None:
        self.library = Library()
        self.jobs: list[Job[Item]] = []
        self.reranker: Any = None
        self.automatic_method = ""
        self.download: Download | None = None
        self._load = load
        self._loaded: tuple[object, ...] = ()
        self._opening = Lock()
        self._ahead: Thread | None = None
        self._looked_at: tuple[object, ...] = ()

    @property
    def job(self) -> Job[Item] | None:
        """The running ranking, or the last one."""
        return self.jobs[-1] if self.jobs else None

    @property
    def busy(self) -> bool:
        return self.job is not None and self.job.status().active

    def start(self, typed: str, settings: Settings) -> None:
        """Rank everything in the library; what is still running stops. Raises QueryError."""
        query = normalize_query(typed) if settings.normalize else raw_query(typed)
        items = self.library.items()
        self.stop()
        job = Job(query, items, lambda: self._open(settings), explain=settings.reasons)
        self.jobs = [*self.jobs, job][-_RANKINGS_KEPT:]

    def stop(self) -> None:
        if self.job:
            self.job.stop()

    def clear(self) -> None:
        """Forget pictures and rankings, and what the model keeps of them."""
        self.stop()
        self.library.clear()
        self.jobs = []
        if self.reranker is not None:
            self.reranker.clear_cache()

    def look_ahead(self, settings: Settings) -> None:
        """Open the model and let it see new pictures while the person is still typing. Returns at once."""
        items = self.library.items()
        wanted = (settings.model, settings.reserve_gib, settings.fit, *(item.key for item in items))
        idle = self._ahead is None or not self._ahead.is_alive()
        if items and idle and not self.busy and not self.library.waiting and wanted != self._looked_at:
            self._looked_at = wanted
            self._ahead = Thread(target=self._look, args=(items, settings), name="look-ahead", daemon=True)
            self._ahead.start()

    def _look(self, items: list[Item], settings: Settings) -> None:
        try:
            reranker, options = self._open(settings)
            for item in items:
                if self.busy:
                    return
                reranker.encode_image(item.source, options=options)
        except LycheeError as error:  # the ranking itself will meet it again, and tell the person
            logger.warning("Looking ahead ended: %s", error)

    def _open(self, settings: Settings) -> tuple[Any, ScoringOptions]:
        """The reranker for these settings, loaded anew where model or reserve changed, or weights were fetched."""
        wanted = (settings.model, settings.reserve_gib, self.download and self.download.status().checkpoint)
        with self._opening:
            if self._loaded != wanted:
                if not is_address(settings.model):
                    find_checkpoint(settings.model)  # what cannot be loaded costs nothing that is
                self.reranker, self._loaded = None, ()  # the old model's memory is free before the new one comes
                opened = self._load(settings.model, settings.reserve_gib)
                self.automatic_method = opened.method
                self.reranker, self._loaded = opened, wanted
            reranker = self.reranker
        method: Any = self.automatic_method if settings.method == "auto" else settings.method
        instruction = settings.instruction.strip() or DEFAULT_INSTRUCTION
        return reranker, ScoringOptions(method, instruction, settings.fit, settings.normalize)
