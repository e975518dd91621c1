"""The libraries that a model needs, imported ahead in the background: they take seconds."""

from __future__ import annotations

import logging
import os
import sys
from functools import cache
from importlib import import_module
from threading import Thread

logger = logging.getLogger(__name__)

_MODULES = ("transformers.models.qwen2_5_vl.modeling_qwen2_5_vl", "lychee_rerank.model.vlm")
# Importing holds the interpreter's lock; with Python's own 5 ms, what draws the page would wait as long at every turn.
_SWITCH_INTERVAL_S = 0.0001


def sleep_at_barriers() -> None:
    """Let torch's threads sleep while they wait for each other; has an effect only before torch is imported.

    By default they spin, also where another process runs on the core that the thread they wait for needs.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@cache
def import_in_background() -> Thread:
    """Import torch and transformers in a thread, once a process. What fails there fails again on loading."""
    sleep_at_barriers()
    thread = Thread(target=_import, name="imports", daemon=True)
    thread.start()
    return thread


def _import() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        for module in _MODULES:
            import_module(module)
    except (ImportError, OSError, RuntimeError) as error:  # OSError: a shared library is missing
        logger.debug("Not imported ahead: %s", error)
    finally:
        sys.setswitchinterval(interval)
