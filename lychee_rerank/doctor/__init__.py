"""What `lychee-rerank doctor` finds out about a machine."""
