"""From a stream to frames."""
