"""What is erased when, and what survives it."""
