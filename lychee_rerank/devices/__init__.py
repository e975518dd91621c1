"""Memory, GPUs and the device map."""
