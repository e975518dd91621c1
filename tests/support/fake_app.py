"""The real page over a stand-in model; run by tests only. LYCHEE_TEST_DELAY is how long a picture takes, in seconds."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lychee_rerank.ui import run  # noqa: E402
from support.fake_reranker import StandIn  # noqa: E402


def load(model: str, reserve_gib: float) -> StandIn:
    return StandIn(delay=float(os.environ.get("LYCHEE_TEST_DELAY", "0")))


if "lychee-test-load" not in sys.modules:  # one desk for the process, as in the real app
    sys.modules["lychee-test-load"] = load  # type: ignore[assignment]
run(sys.modules["lychee-test-load"])  # type: ignore[arg-type]
