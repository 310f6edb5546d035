"""Synthetic crowds with a known truth."""
