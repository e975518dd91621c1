"""torch's errors while scoring -> ModelError, in words that help a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from lychee_rerank.errors import ModelError, OutOfMemoryError


@contextmanager
def translated_errors(clean_up: Callable[[], None]) -> Iterator[None]:
    """What fails in here raises ModelError or OutOfMemoryError, after `clean_up`."""
    try:
        yield
    except (RuntimeError, ValueError, IndexError) as error:
        clean_up()
        raise _to_model_error(error) from error


def _to_model_error(error: Exception) -> ModelError:
    reason = str(error).partition("\n")[0]
    if isinstance(error, torch.OutOfMemoryError) or "out of memory" in reason:
        return OutOfMemoryError("The device ran out of memory while scoring a picture.")
    if isinstance(error, torch.AcceleratorError) or "CUDA error" in reason:
        return ModelError(
            f"the GPU stopped answering ({reason}); nothing more can be scored until the app is restarted"
        )
    return ModelError(reason)
