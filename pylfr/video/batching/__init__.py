"""From many cameras to batches, under any load."""
