"""Checkpoints: found, validated before loading, and downloaded."""
