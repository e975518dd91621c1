"""Queries, prompts, and the score in an answer. No torch."""
