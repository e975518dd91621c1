"""A file becomes an upright RGB image of 384 x 384 pixels."""
