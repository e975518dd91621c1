"""What the command `lychee-rerank` does, one file a subcommand; `lychee_rerank.cli` only gathers them."""
