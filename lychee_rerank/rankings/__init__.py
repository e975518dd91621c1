"""Rankings: run in the background, kept on disk, exported and evaluated."""
