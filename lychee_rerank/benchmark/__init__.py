"""Speed and memory, measured beside plain transformers."""
