"""map_ordered: a lazy, ordered map over daemon threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from threading import Event, Semaphore, Thread
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ordered(
    function: Callable[[Item], Result], items: Iterable[Item], *, max_concurrency: int
) -> Generator[Result, None, None]:
    """`function` of each item, up to `max_concurrency` calls at a time, results in the order of the items.

    Items are pulled up to twice that many ahead. What a call raises is raised where its result would come. Unlike a
    ThreadPoolExecutor, closing the generator waits for nothing: a call that is running ends in its daemon thread.
    """
    slots, closed = Semaphore(max_concurrency), Event()
    pending: deque[Future[Result]] = deque()

    def run(item: Item, future: Future[Result]) -> None:
        with slots:
            if closed.is_set():
                return
            try:
                future.set_result(function(item))
            except BaseException as error:
                future.set_exception(error)

    try:
        for item in items:
            pending.append(Future())
            Thread(target=run, args=(item, pending[-1]), daemon=True).start()
            while pending and (pending[0].done() or len(pending) >= 2 * max_concurrency):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        closed.set()
