"""Which weights these are, wherever they lie."""

from __future__ import annotations

import hashlib
from pathlib import Path

_SAMPLE_BYTES = 2**16
_SAMPLES_PER_SHARD = 16


def fingerprint(folder: Path) -> str:
    """Identifies a checkpoint wherever it lies: a hash of samples spread over its JSON files and weights.

    Hashing 16 GB would take longer than scoring; two trainings differ everywhere, so samples are enough. Scores are
    kept under it: with another way to compute it, none would be found again.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.glob("*.json")) + sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            for offset in range(0, size, max(_SAMPLE_BYTES, size // _SAMPLES_PER_SHARD)):
                file.seek(offset)
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
