"""Makes the demo checkpoint and the sample images."""
