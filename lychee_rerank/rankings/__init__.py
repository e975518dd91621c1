"""A ranking as a thing of its own: run in the background, kept, exported, evaluated."""
