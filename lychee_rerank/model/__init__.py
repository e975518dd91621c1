"""One loaded vision-language model."""
