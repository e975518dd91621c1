"""Speed and memory beside plain transformers and other ways to use the same weights."""
