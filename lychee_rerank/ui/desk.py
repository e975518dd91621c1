"""What the whole process shares: pictures, the loaded model, the running ranking and the last ones. Tabs come and go;
this stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from lychee_rerank.images import Fit
from lychee_rerank.jobs import Job
from lychee_rerank.query import as_typed, normalize_query
from lychee_rerank.ui.library import Library

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


class Desk:
    """One for the process. `load(model, method, reserve_gib)` opens a reranker; it is called in a worker thread."""

    def __init__(self, load: Callable[[str, str, float], Any]) -> None:
        self.library = Library()
        self.jobs: list[Job] = []
        self.reranker: Any = None
        self._load = load
        self._loaded: tuple[str, str, float] | None = None
        self._lock = Lock()

    @property
    def job(self) -> Job | None:
        """The running ranking, or the last one."""
        return self.jobs[-1] if self.jobs else None

    def start(self, typed: str, settings: Settings) -> None:
        """Rank everything in the library; what is still running stops. Raises QueryError."""
        query = normalize_query(typed) if settings.normalize else as_typed(typed)
        pictures = [item.picture for item in self.library.items()]
        self.stop()
        job = Job(query, pictures, lambda: self._open(settings), explain=settings.reasons)
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
            self.reranker.forget()

    def _open(self, settings: Settings) -> Any:
        """The reranker for these settings, loaded anew only where model, method or reserve changed."""
        wanted = (settings.model, settings.method, settings.reserve_gib)
        with self._lock:
            if self._loaded != wanted:
                self.reranker, self._loaded = None, None  # the old model's memory is free before the new one comes
                self.reranker = self._load(*wanted)
                self._loaded = wanted
            reranker = self.reranker
        reranker.fit = settings.fit
        if settings.instruction.strip():
            reranker.instruction = settings.instruction.strip()
        return reranker
