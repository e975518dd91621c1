"""How many threads torch computes with on a CPU.

Its default, one a core, suits large models. Between the short operations of a small one the threads mostly wait for
each other, and beside decoding threads or another busy program each waits for a core too (docs/performance.md).
"""

from __future__ import annotations

import io
import os
import statistics
import time
from contextlib import closing
from itertools import repeat
from typing import TYPE_CHECKING

import torch
from PIL import Image

from lychee_rerank.images.prefetch import ImagePreprocessor
from lychee_rerank.text.prompts import yes_no_messages
from lychee_rerank.text.query import raw_query

if TYPE_CHECKING:
    from lychee_rerank.model.vlm import VisionLanguageModel

_LARGE_MODEL_WEIGHTS = 100_000_000  # twice as fast on two cores, and measuring that would take seconds
_SECONDS_PER_COUNT = 0.1
_WORTHWHILE = 1.25  # times as fast more threads must be: fewer leave cores to decoding and to what starts later
_ALL_CORES = torch.get_num_threads()  # as torch, or the person, set it before any model was loaded


def choose_thread_count(model: VisionLanguageModel) -> int:
    """How many threads a model on the CPU scores with: one a core, or for a small model the fewest of one a core, a
    half, a quarter, ... that are about as fast as the fastest. The person's OMP_NUM_THREADS stands.
    """
    count = _ALL_CORES
    if "OMP_NUM_THREADS" in os.environ or model.model.num_parameters() > _LARGE_MODEL_WEIGHTS:
        return count
    photo = _photo()
    best = _seconds_an_image(model, photo, count)
    while fewer := count // 2:
        seconds = _seconds_an_image(model, photo, fewer)
        if seconds > best * _WORTHWHILE:
            break
        count, best = fewer, min(best, seconds)
    return count


def _photo() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((1600, 1200)).convert("RGB").save(file, "JPEG")
    return file.getvalue()


def _seconds_an_image(model: VisionLanguageModel, photo: bytes, threads: int) -> float:
    """A prompt and an image, while others are decoded beside them."""
    torch.set_num_threads(threads)
    messages = yes_no_messages(raw_query("image"))
    preprocessor = ImagePreprocessor(lambda _: False, model.resize)
    with closing(preprocessor.prefetch(repeat(photo), "crop")) as images:
        times: list[float] = []
        for image in images:
            start = time.perf_counter()
            model.clear_cache()
            model.prefill(messages)
            model.encode_image(image)
            times.append(time.perf_counter() - start)
            if len(times) > 1 and sum(times[1:]) > _SECONDS_PER_COUNT:
                break
    model.clear_cache()
    return statistics.median(times[1:])  # the first warms up
