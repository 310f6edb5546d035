"""Where recorded alerts go."""
