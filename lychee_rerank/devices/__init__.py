"""The machine: its memory, its GPUs, and which part of a model goes where."""
