"""Libraries are imported ahead, in a process of their own here: in this one they are imported already."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def run(code: str, **environment: str) -> str:
    """What the code prints in a new process without settings of OpenMP."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    result = subprocess.run(
        [sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


@pytest.mark.slow
def test_importing_in_the_background_brings_what_a_model_needs() -> None:
    code = """
import sys
from lychee_rerank.model.libraries import import_in_background
interval = sys.getswitchinterval()
thread = import_in_background()
assert import_in_background() is thread
thread.join()
print("transformers.models.qwen2_5_vl.modeling_qwen2_5_vl" in sys.modules, sys.getswitchinterval() == interval)
"""
    assert run(code) == "True True"


def test_threads_sleep_at_barriers_unless_the_person_says_otherwise() -> None:
    code = """
import os
from lychee_rerank.model.libraries import sleep_at_barriers
sleep_at_barriers()
print(os.environ["OMP_WAIT_POLICY"])
"""
    assert run(code) == "PASSIVE"
    assert run(code, OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"


def test_a_failed_import_is_left_to_who_loads_a_model() -> None:
    code = """
import sys
sys.modules["transformers"] = None
from lychee_rerank.model.libraries import import_in_background
import_in_background().join()
print("fine")
"""
    assert run(code) == "fine"
