"""The loop, and what it decides, counts and tells."""
