"""What `lychee-rerank doctor` reports about a machine."""
