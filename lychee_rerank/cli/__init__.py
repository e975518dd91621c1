"""The command `lychee-rerank`, one file a subcommand."""

from lychee_rerank.cli.main import app

__all__ = ["app"]
