"""Pixels in: decoding and batching."""
