"""Decoding in a confined process."""
