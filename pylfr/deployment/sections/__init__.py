"""The sections of a deployment file: every key with its type, bounds, default and description."""
