"""What the CPU computes by itself."""

from __future__ import annotations


def computes_bfloat16() -> bool:
    """Whether the CPU has instructions for matrix products in BF16; True where torch, before 2.11, does not say.

    Measured on the demo and the 7B: with them BF16 is 1.3 times as fast as float32, without them 1.1 to 1.25 times
    slower with AVX-512, and 2 to 3 times with AVX2.
    """
    import torch

    read = getattr(torch.cpu, "get_capabilities", None)
    if read is None:
        return True
    capabilities = read()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
