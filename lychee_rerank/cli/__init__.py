"""The command `lychee-rerank`, one file a subcommand."""

# After the import `app` is the command, as `lychee_rerank.cli:app` says, and not the module of the same name: Python
# binds the module while `main` is imported, before this line binds the command.
from lychee_rerank.cli.main import app

__all__ = ["app"]
